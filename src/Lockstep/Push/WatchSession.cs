using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Fleet;

namespace Lockstep.Push;

/// <summary>What a client on a WebSocket says, one frame after the other: the next is read when the answer to the one before has been taken up.</summary>
internal sealed class WatchSession(WatchHub hub, WebSocketConnection connection, Func<string, ValueTask<CallContext>> identify)
{
    private Watcher? _watcher;
    private int _badFrames;

    private Watcher Watcher => _watcher!;

    /// <summary>Runs to the end of the connection.</summary>
    /// <param name="call">Who calls, when the request said so; null: the hello must.</param>
    /// <param name="aborted">The connection is gone.</param>
    public async Task RunAsync(CallContext? call, CancellationToken aborted)
    {
        try
        {
            if (await GreetAsync(call, aborted))
                while (await ReadAsync(aborted)) { }
        }
        finally
        {
            if (_watcher is not null) hub.Exit(_watcher);
        }
    }

    private async Task<bool> GreetAsync(CallContext? call, CancellationToken aborted)
    {
        var isUnauthenticated = call is null;
        if (isUnauthenticated && !hub.TryEnterUnauthenticated())
        {
            await connection.CloseAsync(WatchClose.NoRoom, aborted);
            return false;
        }
        try
        {
            using var deadline = CancellationTokenSource.CreateLinkedTokenSource(aborted);
            using var timer = hub.Gate.Time.CreateTimer(_ => deadline.Cancel(), null, WatchLimits.Hello, Timeout.InfiniteTimeSpan);
            call = await HelloAsync(call, deadline.Token);
        }
        catch (OperationCanceledException) when (!aborted.IsCancellationRequested)
        {
            connection.Abort();
            return false;
        }
        finally
        {
            if (isUnauthenticated) hub.LeaveUnauthenticated();
        }
        return call is not null && await EnterAsync(call, aborted);
    }

    private async Task<CallContext?> HelloAsync(CallContext? call, CancellationToken cancellationToken)
    {
        using var frame = await connection.ReceiveAsync(cancellationToken);
        try
        {
            if (frame.Kind == FrameKind.Closed) return null;
            var hello = frame.Kind == FrameKind.Text ? ClientFrames.Read(frame.Text) : null;
            if (hello?.Op != "hello") throw new LockstepException(ErrorCode.BadRequest, "the first frame must be a hello");
            call ??= await MayWatchAsync(hello.Token ?? throw new LockstepException(ErrorCode.Unauthenticated, "a token is needed, in the header Authorization or in the hello"));
            return hello.Instance is { } instance ? call with { Instance = instance } : call;
        }
        catch (LockstepException e)
        {
            var close = e.Code == ErrorCode.Unauthenticated ? WatchClose.TokenEnded : e.Code == ErrorCode.Forbidden ? WatchClose.NotAllowed : WatchClose.NoHello;
            await connection.SendAsync(ServerFrame.Error(null, e), cancellationToken);
            await connection.CloseAsync(close, cancellationToken);
            return null;
        }
    }

    // Of a token in the header the request was asked before the upgrade.
    private async Task<CallContext> MayWatchAsync(string token)
    {
        var call = await identify(token);
        await hub.Gate.RequireWatchAsync(call);
        return call;
    }

    private async Task<bool> EnterAsync(CallContext call, CancellationToken aborted)
    {
        try
        {
            _watcher = new Watcher(hub, connection, call);
            hub.Enter(_watcher);
        }
        catch (LockstepException e)
        {
            await connection.SendAsync(ServerFrame.Error(null, e), aborted);
            await connection.CloseAsync(WatchClose.NoRoom, aborted);
            return false;
        }
        await Watcher.SendAsync(ServerFrame.Welcome(hub.Gate.Database.Epoch, WatchLimits.Ping), aborted);
        return true;
    }

    private async ValueTask<bool> ReadAsync(CancellationToken aborted)
    {
        using var received = await connection.ReceiveAsync(aborted);
        if (received.Kind == FrameKind.Closed || Watcher.IsClosing)
        {
            // The client's own goodbye is answered; after ours there is nothing to say.
            Watcher.Close(WatchClose.Ended);
            return received.Kind != FrameKind.Closed;
        }
        if (received.Kind == FrameKind.TooLong)
        {
            // The rest of it is read and dropped, so that the client gets to see why.
            Watcher.Close(WatchClose.TooLong);
            return true;
        }
        try
        {
            if (received.Kind == FrameKind.NotText) throw new LockstepException(ErrorCode.BadRequest, "frames are text messages");
            await HandleAsync(ClientFrames.Read(received.Text), aborted);
        }
        catch (LockstepException e)
        {
            await Watcher.SendAsync(ServerFrame.Error(null, e), aborted);
            if (++_badFrames >= WatchLimits.MaxBadFrames) Watcher.Close(WatchClose.BadFrames);
        }
        return true;
    }

    private Task HandleAsync(ClientFrame frame, CancellationToken aborted)
    {
        switch (frame.Op)
        {
            case "subscribe":
                return SubscribeAsync(frame, aborted);
            case "unsubscribe":
                if (Watcher.Find(frame.Id!.Value) is { } subscription) Watcher.Remove(subscription);
                return Task.CompletedTask;
            case "applied" or "failed":
                Report(frame);
                return Task.CompletedTask;
            default:
                throw new LockstepException(ErrorCode.BadRequest, "there is one hello");
        }
    }

    private async Task SubscribeAsync(ClientFrame frame, CancellationToken aborted)
    {
        var id = frame.Id!.Value;
        if (Watcher.Find(id) is not null) throw new LockstepException(ErrorCode.BadRequest, $"there is a subscription {id} already");
        try
        {
            if (Watcher.Count >= WatchLimits.MaxSubscriptions)
                throw new LockstepException(ErrorCode.TooLarge, $"a connection has at most {WatchLimits.MaxSubscriptions} subscriptions");
            var key = hub.Gate.Canonical(new DocumentKey(frame.Service!, frame.Environment!, frame.Label));
            if (frame.Release is { } floor && !await hub.ReachedAsync(floor, aborted))
            {
                Watcher.Close(WatchClose.Behind, ServerFrame.Goodbye(WatchClose.Behind.Reason, TimeSpan.FromSeconds(1)));
                return;
            }
            var subscription = await OpenAsync(id, key, frame.Etag, aborted);
            subscription.Group.Join(subscription);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated)
        {
            Watcher.Close(WatchClose.TokenEnded);
        }
        catch (LockstepException e)
        {
            await Watcher.SendAsync(ServerFrame.Error(id, e), aborted);
        }
    }

    // Answers. What comes before the group is joined is found when it is.
    private async Task<Subscription> OpenAsync(int id, DocumentKey key, string? etag, CancellationToken aborted)
    {
        Target held;
        bool isCurrent;
        try
        {
            var read = await hub.Gate.ReadConfigAsync(Watcher.Call, key, null, etag, aborted);
            (held, isCurrent) = (new Target(read.Head, read.Document), read.NotModified);
            if (hub.Gate.Watched(key) is null) await hub.Gate.TryKnowAsync(key, aborted);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound || e.Code == ErrorCode.InvalidConfig || e.Code == ErrorCode.Unavailable)
        {
            // What may come: the error is the answer, and the subscription waits for the document.
            var waiting = hub.Subscribe(Watcher, id, key, null, reports: true);
            await Watcher.SendAsync(ServerFrame.Error(id, e), aborted);
            return waiting;
        }
        var subscription = hub.Subscribe(Watcher, id, key, held, reports: true);
        await Watcher.SendAsync(isCurrent ? ServerFrame.Current(id, held.Head, held.Document!.ETag) : ServerFrame.Snapshot(id, held.Head, held.Document!), aborted);
        if (isCurrent && held.Head.Stale is { } stale) await Watcher.SendAsync(ServerFrame.Stale(id, stale), aborted);
        return subscription;
    }

    // Bound to what this connection was sent: an instance can't vouch for a document that it does not hold.
    private void Report(ClientFrame frame)
    {
        if (Watcher.Find(frame.Id!.Value) is not { Held: { Document: { } document, Head: var head } } subscription) return;
        if (document.ETag != frame.Etag)
        {
            // Late, and about an earlier one.
            if (frame.Release < head.Release) return;
            throw new LockstepException(ErrorCode.BadRequest, $"subscription {frame.Id} was sent no such release and etag");
        }
        if (frame.Release > head.Release) throw new LockstepException(ErrorCode.BadRequest, $"subscription {frame.Id} was not sent release {frame.Release}");
        var failure = frame.Op == "failed" ? Printable(frame.Reason ?? "no reason was given") : null;
        subscription.Member!.Report(new FleetReport(frame.Release!.Value, document.ETag, hub.Gate.Time.GetUtcNow(), failure));
    }

    private static string Printable(string reason) => string.Concat(reason.Select(c => char.IsControl(c) ? ' ' : c));
}
