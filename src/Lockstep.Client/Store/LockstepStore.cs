namespace Lockstep.Client;

/// <summary>
/// A document that is always there and follows its server. Reads never wait and never fail; what is read is one whole document. Made by <see cref="OpenAsync"/>; for
/// development and tests by <see cref="FromFile"/> and <see cref="FromValues"/>.
/// </summary>
public sealed partial class LockstepStore : IAsyncDisposable
{
    private readonly CancellationTokenSource _ending = new();
    private readonly TimeProvider _time;
    private readonly bool _reportsByHand;
    private readonly Pump _changes;
    private readonly Pump _notices;
    private readonly Pump _reports;
    private readonly Lock _viewGate = new();
    private readonly List<IStoreView> _views = [];
    private readonly Lock _statusGate = new();
    private LockstepClient? _client;
    private Watcher? _watcher;
    private CacheKeeper? _cache;
    private Task _source = Task.CompletedTask;

    // Null only before OpenAsync has returned.
    private volatile Snapshot? _current;
    private volatile StoreStatus _status;
    private volatile Report? _report;
    private LockstepException? _rejection;
    private int _disposed;

    // The work of the pumps alone reads and writes these.
    private Snapshot? _announced;
    private StoreStatus _told;

    private LockstepStore(TimeProvider time, bool reportsByHand, bool connected)
    {
        (_time, _reportsByHand) = (time, reportsByHand);
        _told = _status = new StoreStatus(connected, time.GetUtcNow(), connected ? null : "it was just started", false);
        _changes = new Pump(AnnounceAsync);
        _notices = new Pump(NotifyAsync);
        _reports = new Pump(SendReportAsync);
    }

    /// <summary>What the application said of a document: that it runs on it, or why not.</summary>
    private sealed record Report(Snapshot Snapshot, string? Failure);

    /// <summary>The newest document. Each read may give a later one: who needs several values of one document keeps what this returned.</summary>
    public Snapshot Current => _current!;

    /// <summary>How the store stands with its server.</summary>
    public StoreStatus Status => _status;

    /// <summary>Why the cache file was not taken at the start, or can't be written now; null when all is well or there is none.</summary>
    public string? CacheProblem => _cache?.Problem;

    /// <summary>When a server last confirmed the document that the cache file held at the start; null when the store did not start with one. The file's own time says nothing about it.</summary>
    public DateTimeOffset? CachedAt { get; private set; }

    /// <summary>
    /// The document has changed. Once per change, in order, one at a time, never on the thread of a reader; changes that come while handlers run fold into one. Identical data
    /// raises nothing. A handler that throws does not stop the others: the server is told <c>failed</c> with the name of the exception's type. What changed before a handler was added is in <see cref="Current"/>.
    /// </summary>
    public event EventHandler<StoreChange>? Changed;

    /// <summary>The connection came, went, or the server said that the document is not up to date. States that come while handlers run fold into the newest.</summary>
    public event EventHandler<StoreStatus>? StatusChanged;

    /// <summary>The token is no longer valid (rolled, revoked, expired), or no longer permits to read this document; the code is unauthenticated or forbidden. Once until a server
    /// accepts it again. The cache file has been deleted, unless it is another token's; the store goes on with what it has and tries again, slowly, with what <see cref="LockstepClientOptions.Token"/> gives then.</summary>
    public event EventHandler<LockstepException>? Rejected;

    /// <summary>Tells the server that the application runs on this document. It is told again after each reconnect, for as long as the document is the newest.</summary>
    public void ReportApplied(Snapshot snapshot)
    {
        _report = new Report(snapshot, null);
        _reports.Request();
    }

    /// <summary>Tells the server that the application refused this document.</summary>
    /// <param name="snapshot">The document.</param>
    /// <param name="reason">Why, for the people who look at the fleet; at most 512 characters of it are sent. It must not hold a secret.</param>
    public void ReportFailed(Snapshot snapshot, string reason)
    {
        _report = new Report(snapshot, reason);
        _reports.Request();
    }

    /// <summary>A typed view that follows the document. It is renewed before the handlers of <see cref="Changed"/> run; a document that does not parse leaves it as it is, and the
    /// server is told <c>failed</c>. Lives as long as the store.</summary>
    /// <param name="parse">Makes the value; what it throws for the present document is thrown here.</param>
    public LockstepView<T> View<T>(Func<Snapshot, T> parse)
        where T : notnull
    {
        // Under the lock: no change can be announced between the parse and the entry in the list.
        lock (_viewGate)
        {
            var view = new LockstepView<T>(parse, Current);
            _views.Add(view);
            return view;
        }
    }

    /// <summary>Ends the connection. <see cref="Current"/> stays readable. Called from a handler, it does not wait for that handler.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        await _ending.CancelAsync();
        await _source;
        await _changes.StopAsync();
        await _reports.StopAsync();
        await _notices.StopAsync();
        if (_cache is not null) await _cache.StopAsync();
        _client?.Dispose();
    }

    private ValueTask AnnounceAsync()
    {
        if (_ending.IsCancellationRequested || _current is null) return ValueTask.CompletedTask;
        Snapshot now;
        IReadOnlyList<string> keys;
        string? failure = null;
        lock (_viewGate)
        {
            now = Current;
            keys = SnapshotDelta.Keys(_announced ?? now, now);
            if (keys.Count > 0)
                foreach (var view in _views)
                    failure = view.Update(now) ?? failure;
        }
        if (keys.Count > 0) failure = Raise(Changed, new StoreChange(_announced!, now, keys)) ?? failure;
        var first = _announced is null;
        _announced = now;
        if ((first || keys.Count > 0) && (failure is not null || !_reportsByHand)) _report = new Report(now, failure);
        _reports.Request();
        return ValueTask.CompletedTask;
    }

    private ValueTask NotifyAsync()
    {
        if (_ending.IsCancellationRequested) return ValueTask.CompletedTask;
        if (Interlocked.Exchange(ref _rejection, null) is { } rejection) Raise(Rejected, rejection);
        var status = _status;
        if (status != _told)
        {
            _told = status;
            Raise(StatusChanged, status);
        }
        return ValueTask.CompletedTask;
    }

    // Said of the newest document, under whatever name the server has for it now: what was said of the same data before holds.
    private async ValueTask SendReportAsync()
    {
        if (_watcher is null || _report is not { } report || _current is not { } now || !SnapshotDelta.SameData(report.Snapshot, now)) return;
        try
        {
            await _watcher.ReportAsync(now, report.Failure, _ending.Token);
        }
        catch (OperationCanceledException)
        {
            // The store is ending.
        }
    }

    /// <summary>The name of the first exception's type; its message may hold a secret.</summary>
    private string? Raise<T>(EventHandler<T>? handlers, T argument)
    {
        string? failure = null;
        foreach (var handler in handlers?.GetInvocationList() ?? [])
        {
            try
            {
                ((EventHandler<T>)handler)(this, argument);
            }
            catch (Exception e)
            {
                failure ??= e.GetType().Name;
            }
        }
        return failure;
    }

    private void SetStatus(bool connected, string? reason, bool? fromCache, Func<bool>? unless = null)
    {
        lock (_statusGate)
        {
            var before = _status;
            var now = new StoreStatus(connected, before.Connected == connected ? before.Since : _time.GetUtcNow(), reason, fromCache ?? before.FromCache);
            if (now == before || unless?.Invoke() == true) return;
            _status = now;
        }
        _notices.Request();
    }
}
