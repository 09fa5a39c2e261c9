using System.Net.WebSockets;
using System.Text.Json;

namespace Lockstep.Client;

/// <summary>
/// Follows one document over connections that come and go. What it holds survives them: a new connection names it and is told what changed since. One run at a time;
/// events come from that run, in order, and must not block it.
/// </summary>
internal sealed class Watcher(LockstepClient client, Subscription subscription, WatchTiming timing)
{
    private const int ClosedTokenInvalid = 4401;
    private const int ClosedNotAllowed = 4403;
    private const int MaxReasonLength = 512;

    private static readonly string s_name = "lockstep-dotnet/" + typeof(Watcher).Assembly.GetName().Version?.ToString(3);

    private readonly Backoff _backoff = new(timing);
    private int _server;
    private string? _epoch;
    private Snapshot? _held;

    // Ids are never used twice on a connection: what is still under way for one that was given up must not be taken for its successor's.
    private int _id;
    private string? _token;
    private Task<string?>? _asked;
    private bool _triedNewToken;
    private Action<WatchEvent> _tell = _ => { };
    private volatile Live? _live;
    private (WatchConnection, int, long, string?)? _reported;

    private sealed record Live(WatchConnection Connection, int Id, Snapshot Snapshot);

    /// <summary>What the server of <see cref="WatchEvent.Confirmed"/> calls its history.</summary>
    public string? Epoch => _epoch;

    /// <summary>The token that the newest connection was made with.</summary>
    public string? Token => _token;

    /// <summary>How many connections failed or ended, each with the next of the addresses; a refusal is none.</summary>
    public int Failures { get; private set; }

    /// <summary>Begins with a document of an earlier run, as if it had been received.</summary>
    public void Resume(string epoch, Snapshot snapshot) => (_epoch, _held) = (epoch, snapshot);

    /// <summary>Runs until it is cancelled; failures are told as events. Does not throw.</summary>
    public async Task RunAsync(Action<WatchEvent> tell, CancellationToken cancellationToken)
    {
        _tell = tell;
        try
        {
            while (true)
            {
                var (error, refused) = await FollowAsync(cancellationToken);
                _live = null;
                if (!refused)
                {
                    Failures++;
                    tell(new WatchEvent.Lost(error));
                    _server = (_server + 1) % client.Options.Addresses.Count;
                    await Task.Delay(_backoff.Next(error.RetryAfter), timing.Time, cancellationToken);
                }
                else if (error.Code != ErrorCode.Unauthenticated || !await HasNewTokenAsync(cancellationToken))
                {
                    tell(new WatchEvent.Refused(error));
                    await SitOutAsync(cancellationToken);
                }
                else
                {
                    // At once, but once: a source that makes a new token for each call would have it go round and round.
                    _triedNewToken = true;
                    tell(new WatchEvent.Lost(error));
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _live = null;
        }
    }

    /// <summary>Tells the server that the application runs on what was confirmed as <paramref name="snapshot"/>, or refused it. Nothing is sent when the server's newest is another
    /// one, none is connected, or it was told already. One caller at a time.</summary>
    public async Task ReportAsync(Snapshot snapshot, string? failure, CancellationToken cancellationToken)
    {
        if (_live is not { } live || live.Snapshot.ETag != snapshot.ETag || _reported == (live.Connection, live.Id, live.Snapshot.Release, failure)) return;
        _reported = (live.Connection, live.Id, live.Snapshot.Release, failure);
        try
        {
            await live.Connection.SendAsync(
                new ClientFrame
                {
                    Op = failure is null ? "applied" : "failed",
                    Id = live.Id,
                    Release = live.Snapshot.Release,
                    Etag = live.Snapshot.ETag,
                    Reason = failure is { Length: > MaxReasonLength } ? failure[..MaxReasonLength] : failure,
                },
                cancellationToken);
        }
        catch (Exception e) when (e is WebSocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The connection is ending; the next one is told again.
        }
    }

    /// <summary>One connection, to its end.</summary>
    private async Task<(LockstepException Error, bool Refused)> FollowAsync(CancellationToken cancellationToken)
    {
        var address = client.Options.Addresses[_server];
        try
        {
            _token = await AskTokenAsync(cancellationToken);
            using var limit = new CancellationTokenSource(client.Options.Timeout, timing.Time);
            using var starting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
            WatchConnection connection;
            try
            {
                connection = await client.ConnectWatchAsync(_server, _token, timing.KeepAlive, starting.Token);
            }
            catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated || e.Code == ErrorCode.Forbidden)
            {
                return (e, true);
            }
            using (connection)
            {
                _backoff.Connected();
                var fresh = await GreetAsync(connection, starting.Token);
                if (await connection.ReceiveAsync(starting.Token) is not { } first) return Closed(connection, address);
                if (first.Op == "error") return Unwelcome(first, address);
                if (first.Op != "goodbye")
                {
                    Welcome(first);
                    if (!fresh) await SubscribeAsync(connection, cancellationToken);
                }
                for (var frame = first; frame is not null; frame = await connection.ReceiveAsync(cancellationToken))
                    if (await HandleAsync(connection, frame, address, cancellationToken) is { } refused)
                        return (refused, true);
                return Closed(connection, address);
            }
        }
        catch (LockstepException e)
        {
            return (e, false);
        }
        catch (JsonException e)
        {
            return (new(ErrorCode.Unavailable, $"{address} sent what this version does not understand: is it a Lockstep server, and not older than this program?", e), false);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            return (new(ErrorCode.Unavailable, $"{address} did not answer within {Durations.Format(client.Options.Timeout)}", e), false);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Whatever it was: it ended this connection and must not end the following of the document.
            return (new(ErrorCode.Unavailable, $"the connection to {address} broke ({(e as WebSocketException)?.WebSocketErrorCode.ToString() ?? e.GetType().Name})", e), false);
        }
    }

    private static (LockstepException Error, bool Refused) Closed(WatchConnection connection, Uri address) => connection.CloseStatus switch
    {
        ClosedTokenInvalid => (new(ErrorCode.Unauthenticated, $"{address} ended the connection: the token was rolled or revoked, or it expired"), true),
        ClosedNotAllowed => (new(ErrorCode.Forbidden, $"{address} ended the connection: the token does not permit it any more"), true),
        var status => (new(ErrorCode.Unavailable, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{address} closed the connection ({status})")), false),
    };

    private static (LockstepException Error, bool Refused) Unwelcome(ServerFrame frame, Uri address)
    {
        var code = ErrorCode.From(frame.Code, 503);
        return (new(code, $"{address} does not let this process watch: {frame.Detail}"), IsRefusal(code));
    }

    private static bool IsRefusal(ErrorCode code) => code == ErrorCode.Unauthenticated || code == ErrorCode.Forbidden || code == ErrorCode.BadRequest;

    // With nothing held there is nothing that the epoch could change: then hello and subscribe go in one breath.
    private async Task<bool> GreetAsync(WatchConnection connection, CancellationToken cancellationToken)
    {
        await connection.SendAsync(new ClientFrame { Op = "hello", Instance = client.Options.Instance, Client = s_name }, cancellationToken);
        if (_held is not null) return false;
        await SubscribeAsync(connection, cancellationToken);
        return true;
    }

    private void Welcome(ServerFrame frame)
    {
        if (frame.Op != "welcome") throw new JsonException("The first frame is a welcome.");
        var epoch = frame.Epoch ?? throw frame.Missing("epoch");
        // Release numbers and ETags of another history mean nothing in this one.
        if (epoch != _epoch) _held = null;
        _epoch = epoch;
        _triedNewToken = false;
    }

    private Task SubscribeAsync(WatchConnection connection, CancellationToken cancellationToken) =>
        connection.SendAsync(
            new ClientFrame
            {
                Op = "subscribe",
                Id = ++_id,
                Service = subscription.Service,
                Environment = subscription.Environment,
                Label = subscription.Label,
                Etag = _held?.ETag,
                Release = _held?.Release,
            },
            cancellationToken);

    /// <summary>The error when the server said no to the subscription.</summary>
    private async Task<LockstepException?> HandleAsync(WatchConnection connection, ServerFrame frame, Uri address, CancellationToken cancellationToken)
    {
        if (frame.Op == "goodbye")
        {
            throw new LockstepException(ErrorCode.Unavailable, $"{address} says goodbye: {frame.Reason ?? "no reason given"}")
            {
                RetryAfter = frame.RetryAfterMs is > 0 and < int.MaxValue and var ms ? TimeSpan.FromMilliseconds(ms) : null,
            };
        }
        if (frame.Id != _id) return null;
        switch (frame.Op)
        {
            case "snapshot":
                Confirm(connection, NotOlder(frame.ToSnapshot()));
                break;
            case "current" when _held is { } held && frame.ETag == held.ETag:
                // When it is stale, a frame that says so follows.
                Confirm(connection, NotOlder(held with { Release = frame.Release ?? throw frame.Missing("release"), Stale = null }));
                break;
            case "change" when _held is { } held && frame.From == held.Release:
                Confirm(connection, SnapshotDelta.Apply(held, frame));
                break;
            case "stale" when _held is { } held:
                Confirm(connection, held with { Stale = frame.Since is { } since ? new StaleInfo { Since = since, Reason = frame.Reason ?? "" } : null });
                break;
            case "current" or "change":
                await connection.SendAsync(new ClientFrame { Op = "unsubscribe", Id = _id }, cancellationToken);
                (_held, _live) = (null, null);
                await SubscribeAsync(connection, cancellationToken);
                break;
            case "error":
                return Failed(ErrorCode.From(frame.Code, 500), frame.Detail ?? $"{address} has no document of {subscription.Service}/{subscription.Environment}");
        }
        return null;
    }

    private void Confirm(WatchConnection connection, Snapshot snapshot)
    {
        _held = snapshot;
        _live = new Live(connection, _id, snapshot);
        _tell(new WatchEvent.Confirmed(snapshot));
    }

    // A server that is behind says so or says goodbye. One that goes back in the same history is left.
    private Snapshot NotOlder(Snapshot snapshot) =>
        _held is { } held && snapshot.Release < held.Release ? throw new JsonException("A document is older than what was seen before.") : snapshot;

    private LockstepException? Failed(ErrorCode code, string detail)
    {
        var error = new LockstepException(code, detail);
        if (IsRefusal(code)) return error;
        // The subscription is not there: another try needs another connection.
        if (code != ErrorCode.NotFound && code != ErrorCode.InvalidConfig && code != ErrorCode.Unavailable) throw error;
        _tell(new WatchEvent.Waiting(error));
        return null;
    }

    // On a thread of its own, and not for longer than a call: a source that hangs must hold up neither the following of the document nor its end. It is not asked again before it has answered.
    private async Task<string?> AskTokenAsync(CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(client.Options.Timeout, timing.Time);
        using var asking = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            if (_asked is not { IsCompleted: false })
            {
                var token = asking.Token;
                _asked = Task.Run(() => client.TokenAsync(token).AsTask(), token);
            }
            return await _asked.WaitAsync(asking.Token);
        }
        catch (Exception e) when (e is not LockstepException && !cancellationToken.IsCancellationRequested)
        {
            // Its text may quote the token.
            throw new LockstepException(ErrorCode.Unavailable, $"the token can't be had ({e.GetType().Name}): check where it comes from");
        }
    }

    private async Task<bool> HasNewTokenAsync(CancellationToken cancellationToken)
    {
        if (_triedNewToken) return false;
        try
        {
            return await AskTokenAsync(cancellationToken) is { } token && token != _token;
        }
        catch (LockstepException)
        {
            return false;
        }
    }

    // Waits until there is another token, or for about as long as makes sense to try the same again.
    private async Task SitOutAsync(CancellationToken cancellationToken)
    {
        var started = timing.Time.GetTimestamp();
        var limit = timing.RefusedRetry * (0.5 + (timing.Random() / 2));
        _triedNewToken = false;
        do await Task.Delay(timing.TokenPoll, timing.Time, cancellationToken);
        while (timing.Time.GetElapsedTime(started) < limit && !await HasNewTokenAsync(cancellationToken));
        _triedNewToken = true;
    }
}
