namespace Lockstep.Releases;

/// <summary>
/// When the repository is fetched next: after the interval, give or take a twentieth, so that many servers do not ask one remote in step; after a failure
/// with exponential backoff and full jitter; soon when somebody asks. However often they ask, one fetch at most is waiting.
/// </summary>
internal sealed class RefreshSchedule(TimeSpan interval, TimeProvider time)
{
    /// <summary>Fetches that were asked for begin no closer together.</summary>
    public static readonly TimeSpan Gap = TimeSpan.FromSeconds(1);

    private static readonly TimeSpan s_longest = TimeSpan.FromMinutes(5);

    private readonly Lock _lock = new();
    private TaskCompletionSource _changed = NewSource();
    private TimeSpan _wait = Jittered(interval);
    private long _since = time.GetTimestamp();
    private long? _begun;
    private int _failures;
    private bool _asked;

    /// <summary>At most this long until the next try after so many failures: the interval, doubled with each, to ten times of it and five minutes.</summary>
    public static TimeSpan Ceiling(TimeSpan interval, int failures)
    {
        var cap = TimeSpan.FromTicks(Math.Max(interval.Ticks, Math.Min(interval.Ticks * 10, s_longest.Ticks)));
        return failures > 4 || interval * (1 << failures) > cap ? cap : interval * (1 << failures);
    }

    /// <summary>Makes a fetch due at once, or when the <see cref="Gap"/> after the last one is over. One that runs already does not count: it may have missed what is asked for.</summary>
    public void Ask()
    {
        lock (_lock)
        {
            _asked = true;
            Pulse();
        }
    }

    /// <summary>A fetch begins, whoever wanted it: it does for all who have asked so far.</summary>
    public void Begin()
    {
        lock (_lock)
        {
            _asked = false;
            _begun = time.GetTimestamp();
        }
    }

    /// <summary>A fetch has ended. After one that succeeded everything is as if none had failed.</summary>
    public void End(bool succeeded)
    {
        lock (_lock)
        {
            _failures = succeeded ? 0 : _failures + 1;
            _since = time.GetTimestamp();
            // Never quite at once: what is down is not asked in a tight loop.
            _wait = succeeded ? Jittered(interval) : TimeSpan.FromTicks(Math.Max(Gap.Ticks, (long)(Ceiling(interval, _failures).Ticks * Random.Shared.NextDouble())));
            Pulse();
        }
    }

    /// <summary>Completes when a fetch is due.</summary>
    public async Task DueAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            TimeSpan left;
            Task changed;
            lock (_lock)
            {
                left = Left();
                changed = _changed.Task;
            }
            if (left <= TimeSpan.Zero) return;
            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            // Timers count in whole milliseconds, and one that fires too early would have this turn in circles.
            await Task.WhenAny(Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(left.TotalMilliseconds)), time, over.Token), changed);
            await over.CancelAsync();
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    private TimeSpan Left()
    {
        var left = _wait - time.GetElapsedTime(_since);
        if (!_asked) return left;
        var gap = _begun is { } begun ? Gap - time.GetElapsedTime(begun) : TimeSpan.Zero;
        return gap < left ? gap : left;
    }

    private void Pulse()
    {
        _changed.SetResult();
        _changed = NewSource();
    }

    private static TimeSpan Jittered(TimeSpan interval) => interval * (0.95 + (Random.Shared.NextDouble() / 10));

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
