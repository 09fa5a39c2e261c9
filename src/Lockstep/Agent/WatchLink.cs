using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>
/// Holds the watch for a supervisor: its documents, the end of its token. The command is not held up by it: it may run before the watch stands, and goes on
/// while the server is away.
/// </summary>
internal sealed class WatchLink(LockstepStoreOptions options, Action<string> remark, TimeProvider time)
{
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_headStart = TimeSpan.FromMilliseconds(100);

    private volatile LockstepStore? _store;
    private volatile bool _refused;
    private bool _away;
    private int _telling;

    /// <summary>Whether newer documents are meant for the process; else the watch is there for the end of the token alone.</summary>
    public bool Follows { get; init; } = true;

    public RunReports Reports => new(
        snapshot =>
        {
            if (Follows) _store?.ReportApplied(snapshot);
        },
        (snapshot, reason) =>
        {
            if (Follows) _store?.ReportFailed(snapshot, reason);
        });

    /// <summary>Waits for the watch; its first document.</summary>
    public async Task<LockstepStore> OpenAsync(CancellationToken cancellationToken) => _store = await LockstepStore.OpenAsync(options, cancellationToken);

    /// <summary>Opens the watch if that has not been done, until it succeeds, and passes on what comes over it. Never fails.</summary>
    public async Task HoldAsync(Supervisor supervisor, CancellationToken cancellationToken)
    {
        try
        {
            // A command that ends at once needs no watch, and has the processor for itself.
            if (_store is null) await Task.Delay(s_headStart, time, cancellationToken);
            while (_store is null) await TryAsync(supervisor, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        var store = _store;
        store.Rejected += (_, e) =>
        {
            _refused = true;
            supervisor.Reject(e.Message);
        };
        store.StatusChanged += (_, status) =>
        {
            _ = TellAsync(store, cancellationToken);
            if (!status.Connected || !_refused) return;
            // A token is accepted again.
            _refused = false;
            if (Follows) supervisor.Offer(store.Current);
        };
        _ = TellOfCacheAsync(store, cancellationToken);
        // The end of the token, or of the server, may have come before anybody listened.
        if (!store.Status.Connected)
        {
            _ = TellAsync(store, cancellationToken);
            await AskAsync(supervisor, cancellationToken);
        }
        if (!Follows) return;
        store.Changed += (_, _) =>
        {
            if (!_refused) supervisor.Offer(store.Current);
        };
        supervisor.Offer(store.Current);
    }

    private async Task TryAsync(Supervisor supervisor, CancellationToken cancellationToken)
    {
        try
        {
            await OpenAsync(cancellationToken);
        }
        catch (LockstepException e)
        {
            if (e.Code == ErrorCode.Unauthenticated) supervisor.Reject(e.Message);
            else if (!_away) remark($"changes are not heard of: {e.Message}; the command runs on with the document it has");
            _away = true;
            await Task.Delay(s_again, time, cancellationToken);
        }
    }

    private async Task AskAsync(Supervisor supervisor, CancellationToken cancellationToken)
    {
        try
        {
            using var client = new LockstepClient(options.Client);
            await client.WhoAmIAsync(cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated)
        {
            supervisor.Reject(e.Message);
        }
        catch (Exception e) when (e is LockstepException or OperationCanceledException)
        {
            // The store goes on trying.
        }
    }

    /// <summary>A fallback that is not there when it is needed is worth a word, once, as soon as a server has confirmed a document and it could have been written.</summary>
    private async Task TellOfCacheAsync(LockstepStore store, CancellationToken cancellationToken)
    {
        if (options.CacheFile is not { } file) return;
        try
        {
            while (!store.Status.Connected || store.CacheProblem is null) await Task.Delay(s_again, time, cancellationToken);
            remark($"--fallback {file}: {store.CacheProblem}");
        }
        catch (OperationCanceledException)
        {
            // The command has ended.
        }
    }

    /// <summary>Said when it has lasted: a server that restarts, or an end of the token, which is told by itself, is no such news.</summary>
    private async Task TellAsync(LockstepStore store, CancellationToken cancellationToken)
    {
        if (Interlocked.Exchange(ref _telling, 1) != 0) return;
        try
        {
            await Task.Delay(s_again, time, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        Volatile.Write(ref _telling, 0);
        var status = store.Status;
        if (status.Connected == !_away) return;
        _away = !status.Connected;
        remark(_away ? $"the server is away ({status.Reason}); the command runs on with the document it has" : "the server is back");
    }
}
