namespace Lockstep.Client;

public sealed partial class LockstepStore
{
    private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _allFailed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private LockstepException? _lastError;
    private bool _refused;

    /// <summary>
    /// Waits for the first document: from a server, or from a cache file that is fresh enough, once each of the servers has failed or none gave one within 2 seconds.
    /// Takes <see cref="LockstepStoreOptions.StartTimeout"/> at the most.
    /// </summary>
    /// <exception cref="LockstepException">unauthenticated, forbidden or not-found at once when a server says so: the cache is no way around it. After
    /// <see cref="LockstepStoreOptions.StartTimeout"/> what went wrong last, most often unavailable or invalid-config, with the reason why the cache file was not taken.</exception>
    public static async Task<LockstepStore> OpenAsync(LockstepStoreOptions options, CancellationToken cancellationToken = default)
    {
        var client = new LockstepClient(options.Client);
        var store = new LockstepStore(options.Timing.Time, options.ReportsByHand, connected: false) { _client = client };
        try
        {
            await store.StartAsync(options, client, cancellationToken);
            return store;
        }
        catch
        {
            await store.DisposeAsync();
            throw;
        }
    }

    private async Task StartAsync(LockstepStoreOptions options, LockstepClient client, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(options.StartTimeout, _time);
        using var starting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            var cached = await LoadAsync(options, client, starting.Token);
            _source = Task.Run(() => _watcher!.RunAsync(e => OnWatch(e, options), _ending.Token), CancellationToken.None);
            if (cached is not null) await Task.WhenAny(_first.Task, _allFailed.Task, Task.Delay(options.Timing.CachePatience, _time, starting.Token));
            cancellationToken.ThrowIfCancellationRequested();
            if (cached is null || _first.Task.IsCompleted) await _first.Task.WaitAsync(starting.Token);
            else await TakeAsync(cached, options);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw NotStarted(options);
        }
    }

    // On a thread of its own: neither the source of the token nor the file can be relied on to answer.
    private async Task<CacheContent?> LoadAsync(LockstepStoreOptions options, LockstepClient client, CancellationToken cancellationToken)
    {
        var subscription = new Subscription(options.Service, options.Environment, options.Label);
        _watcher = new Watcher(client, subscription, options.Timing);
        if (options.CacheFile is not { } path) return null;
        var cache = _cache = new CacheKeeper(path, subscription, options.CacheMaxAge, _time, () => _status.Connected);
        _lastError = new LockstepException(ErrorCode.Unavailable, $"no server was asked: reading the token and the cache file takes longer than {Durations.Format(options.StartTimeout)}");
        var cached = await Task.Run(() => cache.LoadAsync(client, cancellationToken), cancellationToken).WaitAsync(cancellationToken);
        _lastError = null;
        if (cached is not null) _watcher.Resume(cached.Epoch, cached.Snapshot);
        return cached;
    }

    private async Task TakeAsync(CacheContent cached, LockstepStoreOptions options)
    {
        // Unless a server was quicker at the last moment, with a document or a no.
        if (Interlocked.CompareExchange(ref _current, cached.Snapshot, null) is null) CachedAt = cached.Confirmed;
        SetStatus(connected: false, _lastError?.Message ?? NoAnswer(options), fromCache: true, unless: () => !ReferenceEquals(_current, cached.Snapshot));
        if (!_first.TrySetResult()) await _first.Task;
        _changes.Request();
    }

    private LockstepException NotStarted(LockstepStoreOptions options)
    {
        var error = _lastError ?? new LockstepException(ErrorCode.Unavailable, NoAnswer(options));
        return CacheProblem is { } problem ? new LockstepException(error.Code, $"{error.Message}; and the cache file was not taken: {problem}", error) : error;
    }

    private static string NoAnswer(LockstepStoreOptions options) => $"no server gave the document of {options} in time: {options.Client}";

    private void OnWatch(WatchEvent happened, LockstepStoreOptions options)
    {
        switch (happened)
        {
            case WatchEvent.Confirmed(var snapshot):
                _current = snapshot;
                _refused = false;
                SetStatus(connected: true, snapshot.Stale?.Reason, fromCache: false);
                _cache?.Keep(new CacheContent(_watcher!.Epoch!, snapshot), _watcher.Token);
                _first.TrySetResult();
                _changes.Request();
                break;
            case WatchEvent.Waiting(var error):
                Unconfirmed(error);
                if (error.Code == ErrorCode.NotFound) _first.TrySetException(error);
                break;
            case WatchEvent.Lost(var error):
                Unconfirmed(error);
                if (_watcher!.Failures >= options.Client.Addresses.Count) _allFailed.TrySetResult();
                break;
            case WatchEvent.Refused(var error):
                Refuse(error);
                break;
        }
    }

    private void Unconfirmed(LockstepException error)
    {
        _lastError = error;
        SetStatus(connected: false, error.Message, fromCache: null);
    }

    // The file goes first: whoever hears of the refusal finds it gone.
    private void Refuse(LockstepException error)
    {
        Unconfirmed(error);
        if (error.Code != ErrorCode.BadRequest) _cache?.Delete(_watcher!.Token);
        if (!_first.TrySetException(error) && !_refused && error.Code != ErrorCode.BadRequest)
        {
            _rejection = error;
            _notices.Request();
        }
        _refused = true;
    }
}
