using System.Diagnostics;
using System.Text;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Lockstep.Http;

/// <summary>Handles one call of an identified caller.</summary>
internal delegate Task ApiHandler(HttpContext context, CallContext call);

/// <summary>How the clients of another system's interface expect to be answered. They may show the token as the password of Basic, too.</summary>
/// <param name="WriteProblem">Writes the body of a failure in that system's form; the head is there.</param>
internal sealed record ApiStyle(Func<HttpContext, LockstepException, Task> WriteProblem);

/// <summary>What every route shares: who calls, and how failures are answered.</summary>
internal sealed partial class Api(Authenticator authenticator, FailedAuthentications failures, RateLimits rates, IEndpointRouteBuilder routes, ILogger<Api> log)
{
    private const int MaxInstanceLength = 128;
    private const int MaxCredentials = 16 * 1024;

    /// <summary>Adds a route. The record names it by its method and the pattern up to its first parameter.</summary>
    /// <param name="method">The HTTP method.</param>
    /// <param name="pattern">The route's pattern.</param>
    /// <param name="handler">What answers.</param>
    /// <param name="style">How another system's clients expect it; null: Lockstep's own way.</param>
    /// <param name="isLong">Whether it may take long: then it is cut off when its token ends.</param>
    public void Map(string method, string pattern, ApiHandler handler, ApiStyle? style = null, bool isLong = false)
    {
        var name = NameOf(method, pattern);
        var basic = style is not null;
        routes.MapMethods(pattern, [method], context => InvokeAsync(context, name, async () =>
        {
            var call = await IdentifyAsync(context, name, TokenOf(context.Request, basic));
            using var life = isLong ? authenticator.WhenEnded(call.Caller, context.Abort) : null;
            await handler(context, call);
        }, style));
    }

    /// <summary>Adds a route whose requests show no token; the handler itself tells whether they are to be believed.</summary>
    public void MapOpen(string method, string pattern, RequestDelegate handler)
    {
        var name = NameOf(method, pattern);
        routes.MapMethods(pattern, [method], context => InvokeAsync(context, name, () => handler(context)));
    }

    /// <summary>Adds the route of watchers, of which some show their token only later.</summary>
    public void MapWatch(string pattern, Func<HttpContext, CallContext?, Func<string, ValueTask<CallContext>>, Task> handler)
    {
        var name = "GET " + pattern;
        routes.MapGet(pattern, (RequestDelegate)(context => InvokeAsync(context, name, async () =>
            await handler(context, context.Request.Headers.Authorization.Count == 0 ? null : await IdentifyAsync(context, name, TokenOf(context.Request, basic: false)),
                token => IdentifyAsync(context, name, token)))));
    }

    private static string NameOf(string method, string pattern) =>
        $"{method} {(pattern.IndexOf("/{", StringComparison.Ordinal) is var end and > 0 ? pattern[..end] : pattern)}";

    private async Task InvokeAsync(HttpContext context, string route, Func<Task> handler, ApiStyle? style = null)
    {
        try
        {
            await handler();
        }
        catch (LockstepException e)
        {
            if (e.Code == ErrorCode.Internal || e.Code == ErrorCode.Unavailable) LogFailed(route, e.Code.Name, e.Message);
            await WriteAsync(context, e, style);
        }
        catch (BadHttpRequestException e)
        {
            context.Response.StatusCode = e.StatusCode;
            await Problems.WriteForStatusAsync(context);
        }
        catch (IOException e) when (e.InnerException is OverflowException)
        {
            // A chunk whose size no number holds.
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            await Problems.WriteForStatusAsync(context);
        }
        catch (Exception e) when (context.RequestAborted.IsCancellationRequested && e is OperationCanceledException or IOException)
        {
            // The client is gone; there is nobody to tell.
        }
        catch (Exception e)
        {
            LogDefect(e, route);
            await WriteAsync(context, new LockstepException(ErrorCode.Internal, $"an unexpected failure; the server's log has it under the trace {TraceOf()}"), style);
        }
        finally
        {
            Describe(context);
        }
    }

    private static Task WriteAsync(HttpContext context, LockstepException error, ApiStyle? style)
    {
        if (style is null) return Problems.WriteAsync(context, error);
        return Problems.Begin(context, error, "Basic realm=\"lockstep\"") ? style.WriteProblem(context, error) : Task.CompletedTask;
    }

    private async ValueTask<CallContext> IdentifyAsync(HttpContext context, string route, string? token)
    {
        var address = context.Connection.RemoteIpAddress;
        if (address is { IsIPv4MappedToIPv6: true }) address = address.MapToIPv4();
        var (caller, failure) = await AuthenticateAsync(token, address, context.RequestAborted);
        if (caller is null)
        {
            // Another scheme is a failed attempt too.
            var isMissing = failure == Authentication.Missing && context.Request.Headers.Authorization.Count == 0;
            if (!isMissing)
            {
                failures.Count(address, failure == Authentication.Missing ? "malformed" : failure!);
                rates.Failure(address);
            }
            throw new LockstepException(ErrorCode.Unauthenticated, isMissing
                ? "a token is needed: send Authorization: Bearer lks_…"
                : "the token is not valid (any more), or not from this address");
        }
        rates.Request(caller);
        return new CallContext(caller, address, InstanceOf(context.Request), TraceOf(), route);
    }

    // Who asks in the name of an issuer whose keys can't be had is nobody yet, and must not make the server ask, or log, without end.
    private async ValueTask<Authentication> AuthenticateAsync(string? token, System.Net.IPAddress? address, CancellationToken cancellationToken)
    {
        try
        {
            return await authenticator.AuthenticateAsync(token, address, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            failures.Count(address, "jwt-no-keys");
            rates.Failure(address);
            throw;
        }
    }

    private static string? TokenOf(HttpRequest request, bool basic)
    {
        var header = request.Headers.Authorization;
        if (header.Count != 1 || header[0] is not { } text) return null;
        if (text.StartsWith("Bearer ", StringComparison.OrdinalIgnoreCase)) return text[7..].Trim();
        return basic && text.StartsWith("Basic ", StringComparison.OrdinalIgnoreCase) ? PasswordOf(text[6..].Trim()) : null;
    }

    // RFC 7617; whatever user name goes with the password.
    private static string? PasswordOf(string credentials)
    {
        // Tokens of issuers are long; the listener takes no header that is longer than this.
        if (credentials.Length > MaxCredentials) return null;
        var bytes = new byte[credentials.Length];
        if (!Convert.TryFromBase64String(credentials, bytes, out var length)) return null;
        var colon = bytes.AsSpan(0, length).IndexOf((byte)':');
        return colon < 0 ? null : Encoding.UTF8.GetString(bytes, colon + 1, length - colon - 1);
    }

    private static string? InstanceOf(HttpRequest request)
    {
        if (!request.Headers.TryGetValue("Lockstep-Instance", out var header) || header.Count != 1 || header[0] is not { Length: > 0 } name) return null;
        return name.Length <= MaxInstanceLength && name.All(c => c is > ' ' and < (char)127)
            ? name
            : throw new LockstepException(ErrorCode.BadRequest, $"the header Lockstep-Instance must be 1 to {MaxInstanceLength} printable ASCII characters without spaces");
    }

    // The caller's own trace (W3C trace context), else the one that began with this request.
    private static string? TraceOf() => Activity.Current is { IdFormat: ActivityIdFormat.W3C } span ? span.TraceId.ToHexString() : null;

    // What the framework's span does not say of itself, by the conventions for HTTP servers. No path and no query: who asked what is for the record.
    private static void Describe(HttpContext context)
    {
        // The framework makes one for the log's sake too, and says that it wants everything: asked is whether somebody listens.
        if (!Telemetry.Source.HasListeners() || Activity.Current is not { IsAllDataRequested: true } span) return;
        var route = (context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText;
        span.DisplayName = $"{context.Request.Method} {route}";
        span.SetTag("http.request.method", context.Request.Method).SetTag("http.route", route).SetTag("http.response.status_code", context.Response.StatusCode);
        if (context.Response.StatusCode >= 500) span.SetStatus(ActivityStatusCode.Error);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Route} failed: {Code}: {Detail}")]
    private partial void LogFailed(string route, string code, string detail);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Route} met a defect")]
    private partial void LogDefect(Exception exception, string route);
}
