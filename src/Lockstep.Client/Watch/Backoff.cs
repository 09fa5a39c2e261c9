namespace Lockstep.Client;

/// <summary>How long to wait before connecting again: exponential with full jitter, so that clients that lost one server together do not come back together.</summary>
internal sealed class Backoff(WatchTiming timing)
{
    private int _attempts;
    private long? _connectedAt;

    /// <summary>A connection stands.</summary>
    public void Connected() => _connectedAt = timing.Time.GetTimestamp();

    /// <summary>The connection is gone, or there was none. <paramref name="retryAfter"/>: what the server asked for; a jitter of up to half comes on top.</summary>
    public TimeSpan Next(TimeSpan? retryAfter)
    {
        if (_connectedAt is { } at && timing.Time.GetElapsedTime(at) >= timing.Held) _attempts = 0;
        _connectedAt = null;
        // 2^20 times the start is beyond any cap.
        var window = Min(timing.BackoffStart * Math.Pow(2, Math.Min(_attempts++, 20)), timing.BackoffCap);
        if (retryAfter is not { } asked || asked <= TimeSpan.Zero) return window * timing.Random();
        asked = Min(asked, timing.RetryAfterCap);
        return asked + (asked / 2 * timing.Random());
    }

    private static TimeSpan Min(TimeSpan one, TimeSpan other) => one < other ? one : other;
}
