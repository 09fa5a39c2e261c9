using System.Collections.Immutable;
using System.Diagnostics;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Gate;
using Lockstep.Releases;

namespace Lockstep.Push;

/// <summary>
/// Everybody who watches one document. When the document changes, what each reader may see of it is rendered once for all who see the same, put on the record
/// once per token, and then handed to the connections.
/// </summary>
internal sealed class DocumentGroup(WatchHub hub, DocumentKey key)
{
    // Changes that slow readers fold are computed when they are needed, and the last few kept.
    private const int TransitionsKept = 4;

    private readonly List<Subscription> _members = [];
    private readonly Queue<Transition> _transitions = new();
    private volatile Dictionary<BatchKey, HashSet<Subscription>> _foreseen = [];
    private WatchedDocument? _seen;
    private long _missedAt = -1;
    private int _asked;
    private volatile bool _behind;

    public DocumentKey Key => key;

    /// <summary>How many subscriptions there are; the hub's own, under its lock.</summary>
    public int Users { get; set; }

    /// <summary>How large the document was when it was first watched.</summary>
    public long Bytes { get; init; }

    /// <summary>Whether it is a document that was not there the last time somebody looked.</summary>
    public bool IsAwaited => Volatile.Read(ref _missedAt) >= 0;

    /// <summary>Adds one who was sent <see cref="Subscription.Target"/>, and sees to it that it gets whatever came meanwhile.</summary>
    public void Join(Subscription subscription)
    {
        bool missed;
        lock (_members)
        {
            if (subscription.IsEnded) return;
            subscription.Place = _members.Count;
            _members.Add(subscription);
            missed = subscription.Target is not { } held || _seen is null || Differs(held, ViewOf(_seen, subscription), _seen.Head.Stale);
        }
        if (missed) Look();
    }

    public void Leave(Subscription subscription)
    {
        lock (_members)
        {
            if (subscription.Place < 0) return;
            var last = _members[^1];
            _members[subscription.Place] = last;
            last.Place = subscription.Place;
            _members.RemoveAt(_members.Count - 1);
            subscription.Place = -1;
        }
    }

    /// <summary>Looks if the document may have changed since the last time; cheap when it has not.</summary>
    public void LookIfChanged()
    {
        var now = hub.Gate.Watched(key);
        var seen = _seen;
        if (now is null ? _missedAt != hub.Gate.NewestRelease : seen is null || now.Document != seen.Document || now.Head.Stale != seen.Head.Stale) Look();
    }

    /// <summary>Looks again at what could not be recorded, or had, the last time.</summary>
    public void LookIfBehind()
    {
        if (_behind) Look();
    }

    /// <summary>Brings everybody to the document as it is now. While that goes on, further calls make it go round once more.</summary>
    public void Look()
    {
        if (Interlocked.Increment(ref _asked) == 1) _ = RunAsync();
    }

    /// <summary>The frame that leads from one to the other; the same bytes for all who need the same.</summary>
    public ServerFrame ChangeFrame(int id, Target held, Target target)
    {
        var transition = Between(held.Document!, target.Document!);
        var frame = transition.Frame;
        if (frame is not null && frame.Id == id && frame.From == held.Head.Release && frame.To == target.Head) return frame.Frame;
        frame = new SharedFrame(id, held.Head.Release, target.Head, ServerFrame.Change(id, held.Head.Release, target.Head, transition.Delta));
        transition.Frame = frame;
        return frame.Frame;
    }

    /// <summary>
    /// Who will be sent which secrets when the document becomes <paramref name="next"/>. The caller puts it on the record; the pass that follows relies on
    /// it for just these members and this document.
    /// </summary>
    public IEnumerable<Disclosure> Foresee(WatchedDocument next)
    {
        List<Batch> batches;
        lock (_members) batches = Collect(next);
        var foreseen = new List<(Batch Batch, Disclosure Disclosure)>();
        foreach (var batch in batches)
            if (hub.Gate.Authenticator.IsCurrent(batch.Caller) && Discloses(batch, next) is { IsEmpty: false } secrets) foreseen.Add((batch, new Disclosure(batch.Calls(), secrets)));
        _foreseen = foreseen.ToDictionary(f => f.Batch.Key, f => f.Batch.Members.ToHashSet());
        return foreseen.Select(f => f.Disclosure);
    }

    private async Task RunAsync()
    {
        var asked = 1;
        do
        {
            try
            {
                await PassAsync();
            }
            catch (Exception e)
            {
                _behind = true;
                hub.LogDefect(e, key.ToString());
            }
        }
        while ((asked = Interlocked.Add(ref _asked, -asked)) != 0);
    }

    private async Task PassAsync()
    {
        var release = hub.Gate.NewestRelease;
        _behind = false;
        if (hub.Gate.Watched(key) is null && await hub.Gate.TryKnowAsync(key, hub.Stopping) is { } missing)
        {
            // What is not there comes with another release; a store that does not answer may at any time.
            (_missedAt, _behind) = (release, missing != ErrorCode.NotFound);
            return;
        }
        _missedAt = -1;
        var foreseen = _foreseen;
        List<Batch> batches;
        WatchedDocument? now;
        bool isNews;
        lock (_members)
        {
            // With the members: who joined before has nothing newer, and who joins later compares itself with this.
            now = hub.Gate.Watched(key);
            if (now is null) return;
            isNews = _seen is { } before && before.Head.Release != now.Head.Release;
            _seen = now;
            batches = Collect(now);
        }
        // Everything is handed to the record before the first of it is waited for.
        await Task.WhenAll(batches.Select(batch => PublishAsync(batch, now, isNews)));
        if (foreseen == _foreseen) _foreseen = [];
    }

    // Those who do not have what they may see now, by token and by what differs. Under the lock of the members.
    private List<Batch> Collect(WatchedDocument now)
    {
        var batches = new Dictionary<BatchKey, Batch>();
        Batch? last = null;
        foreach (var member in _members)
        {
            var view = ViewOf(now, member);
            var before = member.Target;
            if (before is not null && !Differs(before, view, now.Head.Stale)) continue;
            var shared = new BatchKey(member.Watcher.Call.Caller, before?.Document, view);
            // Nearly always the same as for the one before.
            if ((last is null || last.Key != shared) && !batches.TryGetValue(shared, out last)) batches[shared] = last = new Batch(shared);
            last.Members.Add(member);
        }
        return [.. batches.Values];
    }

    // isNews: it came with a release just now, and is not what somebody missed who joined meanwhile.
    private async Task PublishAsync(Batch batch, WatchedDocument now, bool isNews)
    {
        var discloses = Discloses(batch, now);
        try
        {
            if (!hub.Gate.Authenticator.IsCurrent(batch.Caller)) throw new LockstepException(ErrorCode.Unauthenticated, WatchClose.TokenEnded.Reason);
            if (!discloses.IsEmpty && Unforeseen(batch) is { Count: > 0 } calls)
                await hub.Gate.RecordPushAsync(new Disclosure(calls, discloses), key, now.Head.Release);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated)
        {
            foreach (var member in batch.Members) member.Watcher.Close(WatchClose.TokenEnded);
            return;
        }
        catch (LockstepException)
        {
            // Not on the record, so not sent: tried again in a moment. Readiness tells that the record can't be written.
            _behind = true;
            return;
        }
        var target = new Target(now.Head, batch.To);
        foreach (var member in batch.Members)
        {
            member.Target = target;
            member.Watcher.Wake();
        }
        WatchMetrics.Pushed.Add(batch.Members.Count);
        if (isNews) WatchMetrics.PushDuration.Record(Stopwatch.GetElapsedTime(hub.Gate.Lane.ReleasedAt).TotalSeconds);
    }

    // Those who are not on the record with the release itself, as they came later.
    private List<CallContext> Unforeseen(Batch batch) =>
        _foreseen.TryGetValue(batch.Key, out var foreseen) ? [.. batch.Members.Where(m => !foreseen.Contains(m)).Select(m => m.Watcher.Call)] : batch.Calls();

    private ImmutableArray<string> Discloses(Batch batch, WatchedDocument now)
    {
        if (batch.To is null || batch.To.Discloses.IsEmpty || batch.To.ETag == batch.From?.ETag) return [];
        return batch.From is null ? batch.To.Discloses : Between(batch.From, batch.To).Delta.Discloses(now.Document!.Resolution);
    }

    private Transition Between(RenderedDocument from, RenderedDocument to)
    {
        lock (_transitions)
        {
            foreach (var known in _transitions)
                if (known.From == from && known.To == to) return known;
        }
        var made = new Transition(from, to, DocumentDelta.Between(from, to));
        lock (_transitions)
        {
            _transitions.Enqueue(made);
            if (_transitions.Count > TransitionsKept) _transitions.Dequeue();
        }
        return made;
    }

    private static RenderedDocument? ViewOf(WatchedDocument now, Subscription member) =>
        now.Document is null ? null : Gate.Gate.ViewOf(now.Document, member.Watcher.Call.Caller);

    private static bool Differs(Target held, RenderedDocument? view, Staleness? stale) => held.Document?.ETag != view?.ETag || held.Head.Stale != stale;

    /// <summary>What the members of a batch share: the token, what they may have now, and what they are to have.</summary>
    private readonly record struct BatchKey(Caller Caller, RenderedDocument? From, RenderedDocument? To);

    private sealed class Batch(BatchKey key)
    {
        public BatchKey Key => key;

        public Caller Caller => key.Caller;

        public RenderedDocument? From => key.From;

        public RenderedDocument? To => key.To;

        public List<Subscription> Members { get; } = [];

        public List<CallContext> Calls() => [.. Members.Select(m => m.Watcher.Call)];
    }

    private sealed record Transition(RenderedDocument From, RenderedDocument To, DocumentDelta Delta)
    {
        /// <summary>The frame made last: nearly all need the same.</summary>
        public SharedFrame? Frame { get; set; }
    }

    private sealed record SharedFrame(int Id, long From, SnapshotHead To, ServerFrame Frame);
}
