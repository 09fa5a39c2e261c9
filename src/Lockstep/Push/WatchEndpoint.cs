using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Lockstep.Push;

/// <summary><c>GET /v1/watch</c>: a WebSocket, or, with <c>Accept: text/event-stream</c>, server-sent events for one document.</summary>
internal sealed class WatchEndpoint(WatchHub hub)
{
    public const string Path = "/v1/watch";

    private const string Protocol = "lockstep.v1";

    /// <param name="context">The request.</param>
    /// <param name="call">Who calls; null when the request shows no token at all.</param>
    /// <param name="identify">Tells who calls by a token that the hello brings.</param>
    /// <exception cref="LockstepException">Why there will be no watch.</exception>
    public async Task HandleAsync(HttpContext context, CallContext? call, Func<string, ValueTask<CallContext>> identify)
    {
        RefuseForeignOrigin(context.Request);
        // A watcher that is not sent anything for an hour is no slow one; what is slow is found by the hub.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate) rate.MinDataRate = null;
        if (context.WebSockets.IsWebSocketRequest) await ServeWebSocketAsync(context, call, identify);
        else await ServeEventsAsync(context, call ?? throw NoToken());
    }

    private async Task ServeWebSocketAsync(HttpContext context, CallContext? call, Func<string, ValueTask<CallContext>> identify)
    {
        if (context.Request.QueryString.HasValue) throw new LockstepException(ErrorCode.BadRequest, "a WebSocket subscribes by frames: leave the query out");
        if (!context.WebSockets.WebSocketRequestedProtocols.Contains(Protocol, StringComparer.Ordinal))
            throw new LockstepException(ErrorCode.BadRequest, $"the WebSocket must ask for the subprotocol {Protocol}");
        if (call is not null) await hub.Gate.RequireWatchAsync(call);
        using var socket = await context.WebSockets.AcceptWebSocketAsync(new WebSocketAcceptContext
        {
            SubProtocol = Protocol,
            KeepAliveInterval = WatchLimits.Ping,
            KeepAliveTimeout = WatchLimits.Ping,
        });
        try
        {
            await new WatchSession(hub, new WebSocketConnection(socket), identify).RunAsync(call, context.RequestAborted);
        }
        catch (Exception e) when (e is System.Net.WebSockets.WebSocketException or IOException or OperationCanceledException or InvalidOperationException)
        {
            // The client is gone, or was ended: either way there is nobody to tell.
        }
    }

    private async Task ServeEventsAsync(HttpContext context, CallContext call)
    {
        await hub.Gate.RequireWatchAsync(call);
        if (!AcceptsEvents(context.Request))
            throw new LockstepException(ErrorCode.BadRequest, $"this is a WebSocket (subprotocol {Protocol}), or with Accept: text/event-stream server-sent events");
        var (key, floor) = Wanted(context.Request);
        if (floor is { } release && !await hub.ReachedAsync(release, context.RequestAborted))
            throw new LockstepException(ErrorCode.Unavailable, WatchClose.Behind.Reason) { RetryAfter = TimeSpan.FromSeconds(1) };
        key = hub.Gate.Canonical(key);
        var read = await hub.Gate.ReadConfigAsync(call, key, null, null, context.RequestAborted);
        var held = new Target(read.Head, read.Document);
        if (hub.Gate.Watched(key) is null) await hub.Gate.TryKnowAsync(key, context.RequestAborted);
        using var connection = new EventStreamConnection(context);
        var watcher = new Watcher(hub, connection, call);
        hub.Enter(watcher);
        try
        {
            var subscription = hub.Subscribe(watcher, 0, key, held, reports: false);
            context.Response.ContentType = "text/event-stream";
            // What nginx knows by this name: pass on what comes, at once.
            context.Response.Headers["X-Accel-Buffering"] = "no";
            await watcher.SendAsync(ServerFrame.Welcome(hub.Gate.Database.Epoch, WatchLimits.Ping), context.RequestAborted);
            await watcher.SendAsync(ServerFrame.Snapshot(0, held.Head, held.Document!), context.RequestAborted);
            subscription.Group.Join(subscription);
            await KeepAsync(watcher, connection, context.RequestAborted);
        }
        finally
        {
            hub.Exit(watcher);
        }
    }

    private async Task KeepAsync(Watcher watcher, EventStreamConnection connection, CancellationToken aborted)
    {
        while (true)
        {
            try
            {
                await connection.Ended.WaitAsync(WatchLimits.Ping, hub.Gate.Time, aborted);
                return;
            }
            catch (TimeoutException)
            {
                await watcher.SendAsync(EventStreamConnection.Ping, aborted);
            }
        }
    }

    private static (DocumentKey Key, long? Floor) Wanted(HttpRequest request)
    {
        foreach (var (name, values) in request.Query)
            if (name is not ("service" or "env" or "label") || values.Count != 1)
                throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' is unknown or given twice; known here: service, env, label");
        string? service = request.Query["service"], environment = request.Query["env"];
        if (service is null || environment is null) throw new LockstepException(ErrorCode.BadRequest, "which document? Say ?service=…&env=…");
        // What a client brings that was cut off; its own event ids only.
        var floor = long.TryParse(request.Headers["Last-Event-ID"], System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out var release) && release > 0
            ? release
            : (long?)null;
        return (new DocumentKey(service, environment, request.Query["label"]), floor);
    }

    private static bool AcceptsEvents(HttpRequest request) =>
        request.Headers.Accept.Any(a => a is not null && a.Contains("text/event-stream", StringComparison.OrdinalIgnoreCase));

    // A page of another site must not watch with what the browser knows. Programs send no Origin.
    private static void RefuseForeignOrigin(HttpRequest request)
    {
        var origin = request.Headers.Origin;
        if (origin.Count == 0) return;
        if (origin.Count != 1 || !Uri.TryCreate(origin[0], UriKind.Absolute, out var from) || !Uri.TryCreate($"{request.Scheme}://{request.Host}", UriKind.Absolute, out var own)
            || Uri.Compare(from, own, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) != 0)
            throw new LockstepException(ErrorCode.Forbidden, "a page of another origin may not watch");
    }

    private static LockstepException NoToken() => new(ErrorCode.Unauthenticated, "a token is needed: send Authorization: Bearer lks_…");
}
