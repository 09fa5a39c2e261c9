using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Gate;
using Microsoft.Extensions.Logging;

namespace Lockstep.Push;

/// <summary>
/// Everybody who watches, and what they watch. It takes note when readers see something new and when tokens change, and once a second looks after
/// what takes too long.
/// </summary>
internal sealed partial class WatchHub : IAsyncDisposable
{
    private static readonly TimeSpan s_sweep = TimeSpan.FromSeconds(1);

    // So few watchers that to wake another thread for them takes longer than to send to them.
    private const int MaxInline = 64;

    private static readonly ServerFrame s_comeAgain = ServerFrame.Goodbye(WatchClose.OtherPermissions.Reason, TimeSpan.FromMilliseconds(100));

    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly Dictionary<DocumentKey, DocumentGroup> _groups = [];
    private readonly Dictionary<Caller, HashSet<Watcher>> _watchers = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _sweeping;
    private int _count;
    private int _subscriptions;
    private long _bytes;
    private int _unauthenticated;
    private int _changes;
    private bool _stopped;

    public WatchHub(Gate.Gate gate, ILogger<WatchHub> log)
    {
        (Gate, _log) = (gate, log);
        gate.Lane.IsFollowed = IsWatched;
        gate.ForeseePushes(Foresee);
        gate.Lane.Swapped += Changed;
        gate.Authenticator.Changed += CheckTokens;
        _sweeping = SweepAsync();
    }

    public Gate.Gate Gate { get; }

    public CancellationToken Stopping => _stop.Token;

    /// <summary>Milliseconds of a clock that never goes back and is never 0.</summary>
    public long Now => (long)Gate.Time.GetElapsedTime(0).TotalMilliseconds | 1;

    /// <summary>Takes a connection in.</summary>
    /// <exception cref="LockstepException">unavailable when there are as many as there may be, or the server stops.</exception>
    public void Enter(Watcher watcher)
    {
        var caller = watcher.Call.Caller;
        lock (_lock)
        {
            if (_stopped) throw Full("the server is stopping");
            if (_count >= WatchLimits.MaxWatchers) throw Full("there are as many watchers as this server takes");
            if (_watchers.Sum(w => w.Key.Root == caller.Root ? w.Value.Count : 0) >= WatchLimits.MaxWatchersOfToken)
                throw Full($"the token '{caller.Name}' has as many watchers as one token may have");
            if (!_watchers.TryGetValue(caller, out var those)) _watchers[caller] = those = [];
            those.Add(watcher);
            _count++;
        }
        WatchMetrics.Watchers.Add(1);
        // A token that ended before the connection was in the list was not seen by the check that ended it.
        Close(watcher, Gate.Authenticator.StandingOf(caller));
    }

    /// <summary>The connection is over.</summary>
    public void Exit(Watcher watcher)
    {
        watcher.Left();
        lock (_lock)
        {
            if (!_watchers.TryGetValue(watcher.Call.Caller, out var those) || !those.Remove(watcher)) return;
            if (those.Count == 0) _watchers.Remove(watcher.Call.Caller);
            _count--;
        }
        WatchMetrics.Watchers.Add(-1);
    }

    /// <summary>Counts a connection that has not shown a token yet; false: there are as many as there may be.</summary>
    public bool TryEnterUnauthenticated()
    {
        if (Interlocked.Increment(ref _unauthenticated) <= WatchLimits.MaxUnauthenticated) return true;
        LeaveUnauthenticated();
        return false;
    }

    public void LeaveUnauthenticated() => Interlocked.Decrement(ref _unauthenticated);

    /// <summary>Makes a subscription of a watcher. When it has been answered, its group is to be joined.</summary>
    /// <param name="watcher">The connection.</param>
    /// <param name="id">The client's number for it.</param>
    /// <param name="key">The document.</param>
    /// <param name="held">What the client was just sent; null: it waits for a document that can't be had yet.</param>
    /// <param name="reports">Whether it says what it runs on, so that it is part of the fleet.</param>
    /// <exception cref="LockstepException">rate-limited when there are as many as there may be.</exception>
    public Subscription Subscribe(Watcher watcher, int id, DocumentKey key, Target? held, bool reports)
    {
        var member = reports ? Gate.MemberFor(watcher.Call, key) : null;
        Subscription subscription;
        lock (_lock)
        {
            if (_subscriptions >= WatchLimits.MaxSubscriptionsInAll) throw NoMore("there are as many subscriptions as this server takes");
            if (held is null && _groups.Values.Count(g => g.IsAwaited) >= WatchLimits.MaxAwaited && !_groups.ContainsKey(key))
                throw NoMore("as many documents that do not exist are waited for as this server takes");
            if (!_groups.TryGetValue(key, out var group))
            {
                if (_groups.Count >= WatchLimits.MaxDocuments || _bytes >= WatchLimits.MaxDocumentBytes) throw NoMore("as many documents are watched as this server takes");
                _groups[key] = group = new DocumentGroup(this, key) { Bytes = held?.Document?.Json.Length ?? 0 };
                _bytes += group.Bytes;
            }
            group.Users++;
            _subscriptions++;
            subscription = new Subscription(id, group, watcher, member);
        }
        subscription.Start(held);
        if (member is not null) Gate.Fleet.Join(key, member);
        watcher.Add(subscription);
        return subscription;
    }

    /// <summary>Whether this server has, or within a few seconds gets, a release.</summary>
    public async Task<bool> ReachedAsync(long release, CancellationToken cancellationToken)
    {
        var limit = Now + WatchLimits.Behind.TotalMilliseconds;
        while (Gate.NewestRelease < release)
        {
            if (Now > limit) return false;
            await Task.Delay(TimeSpan.FromMilliseconds(50), Gate.Time, cancellationToken);
        }
        return true;
    }

    /// <summary>Ends a subscription. To do it twice is no error.</summary>
    public void Leave(Subscription subscription)
    {
        if (!subscription.TryEnd()) return;
        var group = subscription.Group;
        group.Leave(subscription);
        if (subscription.Member is { } member) Gate.Fleet.Leave(group.Key, member);
        lock (_lock)
        {
            _subscriptions--;
            if (--group.Users > 0) return;
            _groups.Remove(group.Key);
            _bytes -= group.Bytes;
        }
    }

    /// <summary>Says goodbye to everybody.</summary>
    public async ValueTask DisposeAsync()
    {
        Gate.Lane.Swapped -= Changed;
        Gate.Authenticator.Changed -= CheckTokens;
        lock (_lock) _stopped = true;
        // Spread, so that another server that they go to is not asked by all at once; clients add jitter of their own.
        var goodbye = ServerFrame.Goodbye(WatchClose.Restarting.Reason, TimeSpan.FromMilliseconds(Math.Min(10_000, 100 + _count)));
        foreach (var watcher in Watchers()) watcher.Close(WatchClose.Restarting, goodbye);
        // The end of a process is about the time of the world, whatever clock the server is given.
        var begun = TimeProvider.System.GetTimestamp();
        while (Volatile.Read(ref _count) > 0 && TimeProvider.System.GetElapsedTime(begun) < WatchLimits.Closing)
            await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
        foreach (var watcher in Watchers()) watcher.Connection.Abort();
        await _stop.CancelAsync();
        await _sweeping;
        _stop.Dispose();
    }

    private bool IsWatched(DocumentKey key)
    {
        lock (_lock) return _groups.ContainsKey(key);
    }

    private IEnumerable<Disclosure> Foresee(DocumentKey key, WatchedDocument next)
    {
        DocumentGroup? group;
        lock (_lock) group = _groups.GetValueOrDefault(key);
        return group is null ? [] : group.Foresee(next);
    }

    // Called by who makes a release or fetches, and who makes the next waits: what there is to do is done once for many changes, and on another thread
    // unless that would cost more than it saves.
    private void Changed()
    {
        if (Interlocked.Increment(ref _changes) != 1) return;
        if (Volatile.Read(ref _count) <= MaxInline) LookAtAll();
        else ThreadPool.UnsafeQueueUserWorkItem(static hub => hub.LookAtAll(), this, preferLocal: false);
    }

    private void LookAtAll()
    {
        var changes = 1;
        do
        {
            foreach (var group in Groups()) group.LookIfChanged();
        }
        while ((changes = Interlocked.Add(ref _changes, -changes)) != 0);
    }

    // Before the answer to the call that ended the token, or changed what it may do.
    private void CheckTokens()
    {
        List<Caller> callers;
        lock (_lock) callers = [.. _watchers.Keys];
        foreach (var caller in callers)
        {
            var standing = Gate.Authenticator.StandingOf(caller);
            if (standing == Standing.Current) continue;
            List<Watcher> those;
            lock (_lock) those = [.. _watchers.GetValueOrDefault(caller) ?? []];
            foreach (var watcher in those) Close(watcher, standing);
        }
    }

    private static void Close(Watcher watcher, Standing standing)
    {
        if (standing == Standing.Ended) watcher.Close(WatchClose.TokenEnded);
        else if (standing == Standing.OtherGrant) watcher.Close(WatchClose.OtherPermissions, s_comeAgain);
    }

    private async Task SweepAsync()
    {
        using var timer = new PeriodicTimer(s_sweep, Gate.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                // Tokens that have expired, or whose grace has.
                CheckTokens();
                foreach (var watcher in Watchers()) watcher.Check();
                // Nothing marks the moment when what is stale has become too stale.
                var isTooStale = Gate.IsTooStale(Gate.Lane.Live);
                foreach (var group in Groups())
                {
                    if (isTooStale) group.LookIfChanged();
                    group.LookIfBehind();
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private List<DocumentGroup> Groups()
    {
        lock (_lock) return [.. _groups.Values];
    }

    private List<Watcher> Watchers()
    {
        lock (_lock) return [.. _watchers.Values.SelectMany(w => w)];
    }

    private static LockstepException Full(string reason) => new(ErrorCode.Unavailable, reason) { RetryAfter = TimeSpan.FromSeconds(5) };

    private static LockstepException NoMore(string reason) => new(ErrorCode.RateLimited, reason) { RetryAfter = TimeSpan.FromSeconds(5) };

    [LoggerMessage(Level = LogLevel.Error, Message = "Pushing {Document} met a defect")]
    public partial void LogDefect(Exception exception, string document);
}
