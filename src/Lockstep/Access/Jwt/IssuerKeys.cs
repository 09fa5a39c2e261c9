using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Access.Jwt;

/// <summary>
/// The keys of one issuer as they were last published: fetched again each hour, and when a token names a key that is not there. What is fetched replaces
/// what was; an issuer that does not answer, or answers nonsense, is served from what it last said for a day.
/// </summary>
internal sealed partial class IssuerKeys(IssuerOptions options, TimeProvider time, ILogger log) : IAsyncDisposable
{
    /// <summary>The least time between two questions to the issuer, whoever makes the server ask.</summary>
    public static readonly TimeSpan Floor = TimeSpan.FromSeconds(10);

    /// <summary>How long keys serve that could not be fetched again.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(24);

    private static readonly TimeSpan s_interval = TimeSpan.FromHours(1);
    private static readonly TimeSpan s_retry = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private readonly IssuerHttp _http = new(options);
    private volatile Published? _published;
    private Task _fetching = Task.CompletedTask;
    private Task _repeating = Task.CompletedTask;
    private DateTimeOffset? _askedAt;
    private bool _failing;

    /// <summary>The keys to go by; null: there are none that are new enough.</summary>
    public KeySet? Current => _published is { } published && time.GetUtcNow() - published.At < Lifetime ? published.Keys : null;

    /// <summary>Fetches now, and again and again until it is disposed.</summary>
    public void Start() => _repeating = RepeatAsync();

    /// <summary>The keys, fetched first if need be.</summary>
    /// <exception cref="LockstepException">unavailable when there are none.</exception>
    public async ValueTask<KeySet> GetAsync(CancellationToken cancellationToken)
    {
        if (Current is { } keys) return keys;
        await FetchAsync().WaitAsync(cancellationToken);
        return Current ?? throw new LockstepException(ErrorCode.Unavailable, $"the keys of the issuer {options.Issuer} can't be had now; the server's log says why") { RetryAfter = Floor };
    }

    /// <summary>Keys newer than <paramref name="seen"/>, if the issuer has others and may be asked now; else <paramref name="seen"/>.</summary>
    public async ValueTask<KeySet> NewerAsync(KeySet seen, CancellationToken cancellationToken)
    {
        if (_published is { } published && published.Keys == seen) await FetchAsync().WaitAsync(cancellationToken);
        return Current ?? seen;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _repeating;
        await _fetching;
        _http.Dispose();
        _stop.Dispose();
    }

    // One question at a time, and none sooner than the floor after the one before it: who comes too early has what is there.
    private Task FetchAsync()
    {
        lock (_gate)
        {
            var now = time.GetUtcNow();
            if (!_fetching.IsCompleted || (_askedAt is { } asked && now - asked < Floor) || _stop.IsCancellationRequested) return _fetching;
            _askedAt = now;
            return _fetching = FetchOnceAsync();
        }
    }

    // Its outcome is in the fields; it never throws, and it is not given up with the request that began it.
    private async Task FetchOnceAsync()
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            var keys = await _http.FetchAsync(_stop.Token);
            // The same object as long as they are the same, so that verified tokens need not be verified again.
            if (_published is { } before && keys.IsSameAs(before.Keys)) keys = before.Keys;
            else LogFetched(options.Issuer, keys.Keys.Length);
            _published = new Published(keys, time.GetUtcNow());
            if (_failing) LogRecovered(options.Issuer);
            _failing = false;
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The server stops.
        }
        catch (Exception e)
        {
            if (!_failing) LogFailed(options.Issuer, e is LockstepException ? e.Message : e.GetType().Name);
            _failing = true;
        }
    }

    private async Task RepeatAsync()
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                await FetchAsync();
                await Task.Delay((_failing ? s_retry : s_interval) * (0.9 + Random.Shared.NextDouble() / 5), time, _stop.Token);
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The issuer {Issuer} has {Count} keys that can be used")]
    private partial void LogFetched(string issuer, int count);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The keys of the issuer {Issuer} can't be fetched; those before them serve for a day at most: {Reason}")]
    private partial void LogFailed(string issuer, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The keys of the issuer {Issuer} can be fetched again")]
    private partial void LogRecovered(string issuer);

    /// <summary>Keys, and when the issuer last said that they are its own.</summary>
    private sealed record Published(KeySet Keys, DateTimeOffset At);
}
