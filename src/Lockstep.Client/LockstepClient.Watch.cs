using System.Net;
using System.Net.WebSockets;
using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    private const string WatchProtocol = "lockstep.v1";

    internal LockstepClientOptions Options => _options;

    /// <summary>
    /// Follows a document: yields it whole, first as it is and then each time its data or its staleness changed. A connection that breaks is made anew, with the next of the
    /// servers and with exponential backoff and full jitter (100 ms to 10 s); nothing is lost over it. Who reads slowly sees the newest document and not each one before it.
    /// What does not exist or does not resolve yet is waited for. Ends only by <paramref name="cancellationToken"/> or an exception.
    /// </summary>
    /// <param name="service">The service.</param>
    /// <param name="environment">The environment, or several joined by commas.</param>
    /// <param name="label">A Git branch or tag; null: the tracked branch.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="LockstepException">unauthenticated, forbidden or bad-request: the server refused the token or the subscription.</exception>
    public async IAsyncEnumerable<Snapshot> WatchAsync(
        string service, string environment, string? label = null, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var newest = Channel.CreateBounded<Snapshot>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true });
        var watcher = new Watcher(this, new Subscription(service, environment, label), WatchTiming.Default);
        var run = watcher.RunAsync(
            happened =>
            {
                if (happened is WatchEvent.Confirmed confirmed) newest.Writer.TryWrite(confirmed.Snapshot);
                else if (happened is WatchEvent.Refused refused) newest.Writer.TryComplete(refused.Error);
            },
            ending.Token);
        try
        {
            Snapshot? last = null;
            await foreach (var snapshot in newest.Reader.ReadAllAsync(cancellationToken))
            {
                if (last is not null && last.Stale == snapshot.Stale && SnapshotDelta.SameData(last, snapshot)) continue;
                last = snapshot;
                yield return snapshot;
            }
        }
        finally
        {
            await ending.CancelAsync();
            await run;
        }
    }

    /// <summary>Connects to one of the servers.</summary>
    /// <exception cref="LockstepException">unauthenticated and forbidden when the server said so; everything else is unavailable.</exception>
    internal async Task<WatchConnection> ConnectWatchAsync(int server, string? token, TimeSpan keepAlive, CancellationToken cancellationToken)
    {
        var target = new UriBuilder(new Uri(_servers[server], "v1/watch"));
        target.Scheme = target.Scheme == Uri.UriSchemeHttps ? Uri.UriSchemeWss : Uri.UriSchemeWs;
        var socket = new ClientWebSocket();
        try
        {
            socket.Options.AddSubProtocol(WatchProtocol);
            socket.Options.CollectHttpResponseDetails = true;
            socket.Options.KeepAliveInterval = keepAlive;
#if NET9_0_OR_GREATER
            // Before, pings have no time limit: there it is TCP that finds a dead connection, after minutes.
            socket.Options.KeepAliveTimeout = keepAlive;
#endif
            if (token is not null) socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
            // The client of the other calls carries the upgrade too: the same rules for proxies, redirects and time.
            await socket.ConnectAsync(target.Uri, _http, cancellationToken);
            return new WatchConnection(socket, MaxAnswerBytes);
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested && e is WebSocketException or HttpRequestException or OperationCanceledException)
        {
            var failure = WatchFailure(_options.Addresses[server], socket, e);
            socket.Dispose();
            throw failure;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private LockstepException WatchFailure(Uri address, ClientWebSocket socket, Exception e)
    {
        var status = (int)socket.HttpStatusCode;
        if (status == 0) return Unreachable(address, e is WebSocketException { InnerException: { } inner } ? inner : e);
        return socket.HttpStatusCode switch
        {
            HttpStatusCode.Unauthorized => new(ErrorCode.Unauthenticated, $"{address} refused the token: it was rolled or revoked, or it expired"),
            HttpStatusCode.Forbidden => new(ErrorCode.Forbidden, $"{address} does not let this token watch"),
            HttpStatusCode.NotFound => new(ErrorCode.Unavailable, $"{address} has no watch: is it a Lockstep server, and not older than this program?"),
            _ => new(ErrorCode.Unavailable, string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{address} answered the watch with {status}"))
            {
                RetryAfter = RetryAfter(socket),
            },
        };
    }

    // In seconds; the other form, a date, is none of Lockstep's.
    private static TimeSpan? RetryAfter(ClientWebSocket socket) =>
        socket.HttpResponseHeaders is { } headers && headers.TryGetValue("Retry-After", out var values)
        && int.TryParse(values.FirstOrDefault(), System.Globalization.NumberStyles.None, null, out var seconds)
            ? TimeSpan.FromSeconds(seconds) : null;
}
