using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Releases;

/// <summary>
/// The one place where releases are made, one at a time: plan on the present state, evaluate, write in one transaction, publish. Readers take
/// <see cref="Live"/> and never wait.
/// </summary>
internal sealed class ReleaseLane(
    ReleaseEvaluator evaluator, KnownDocuments known, GitRepository git, Database database, TimeProvider time) : IDisposable
{
    private static readonly Counter<long> s_releases = Telemetry.Meter.CreateCounter<long>(
        "lockstep.releases", description: "Releases this server made, by kind");

    private static readonly Histogram<double> s_phases = Telemetry.Seconds(
        "lockstep.release.duration", "What a change took in the release lane, by phase: plan, evaluate (the documents it reaches), write");

    // Between two looks at how much memory the documents take.
    private const int LoadedAtOnce = 256;

    // How many broken documents a refusal names.
    private const int MaxNamed = 10;

    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly DependencyIndex _index = new();
    private readonly Queue<DocumentKey> _forgotten = new();

    // A write failed, and a connection lost in mid-commit does not tell whether it is there.
    private bool _unsure;
    private long _releasedAt;
    private LiveState _live = new(new ReleaseState(0, default), ImmutableDictionary<DocumentKey, DocumentState>.Empty, null);

    /// <summary>What readers see now.</summary>
    public LiveState Live => Volatile.Read(ref _live);

    /// <summary>When readers saw the newest release first, by <see cref="System.Diagnostics.Stopwatch"/>'s clock.</summary>
    public long ReleasedAt => Volatile.Read(ref _releasedAt);

    /// <summary>Called with what is about to be written; what it returns is written with it, in the same transaction.</summary>
    public Func<Evaluation, Action<SqlSession>?>? Preparing { get; set; }

    /// <summary>Whether somebody follows a document, so that it is not forgotten.</summary>
    public Func<DocumentKey, bool> IsFollowed { get; set; } = _ => false;

    /// <summary>Called after readers see something new, in the course of what made it: it only takes note.</summary>
    public event Action? Swapped;

    /// <summary>Takes up the newest release as the database has it, with these documents. Called once before anything else.</summary>
    public async Task LoadAsync(ReleaseState newest, IEnumerable<(DocumentKey Key, DocumentUsage Usage)> documents, CancellationToken cancellationToken)
    {
        var states = ImmutableDictionary.CreateBuilder<DocumentKey, DocumentState>();
        var bytes = 0L;
        foreach (var some in documents.Chunk(LoadedAtOnce))
        {
            var wanted = some.Where(d => bytes <= KnownDocuments.MaxBytes || d.Usage.IsListed).ToList();
            var loaded = await ReleaseEvaluator.ForEachAsync(wanted, d => LoadAsync(d.Key, d.Usage, newest, cancellationToken), cancellationToken);
            foreach (var (resolution, state) in loaded)
            {
                states[resolution.Key] = state;
                bytes += state.Current?.Full.Body.Length ?? 0;
                _index.Set(resolution);
            }
        }
        Swap(live => live with { Release = newest, Documents = states.ToImmutable() });
    }

    /// <summary>
    /// Makes a change. <paramref name="plan"/> sees the state that the change is made on. When the task completes, the change is durable and readers see it.
    /// </summary>
    /// <exception cref="LockstepException">conflict when known documents would break; what <paramref name="plan"/> throws; unavailable when it can't be written.</exception>
    public async Task<ReleaseOutcome> RunAsync(Func<LiveState, CancellationToken, Task<ReleaseChange>> plan, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (_unsure) await CatchUpAsync(cancellationToken);
            var live = _live;
            var change = await TimedAsync("plan", () => plan(live, cancellationToken));
            var evaluation = await TimedAsync("evaluate", () => evaluator.EvaluateAsync(live, change, _index, cancellationToken));
            if (!change.MayBreak && !evaluation.Broken.IsEmpty) throw Breaks(evaluation.Broken, change.MayName);
            if (change.Next.Number == live.Release.Number && change.Persist is null) return new ReleaseOutcome(live.Release, []);
            // Commits first: a release in the database never names a commit that Git may throw away.
            if (!change.Commits.IsEmpty) await git.KeepAsync(change.Commits, cancellationToken);
            // From here on the change is made, whether the caller still waits or not.
            await TimedAsync("write", () => WriteAsync(live.Release, change, evaluation, Preparing?.Invoke(evaluation)));
            // Statement order matters: the index is read under the turn only, and readers see documents and release number in one swap.
            foreach (var resolution in evaluation.Touched) _index.Set(resolution);
            if (change.Next.Number != live.Release.Number) Volatile.Write(ref _releasedAt, System.Diagnostics.Stopwatch.GetTimestamp());
            Swap(live => evaluation.Live with { Stale = live.Stale });
            if (change.Next.Number != live.Release.Number) s_releases.Add(1, new KeyValuePair<string, object?>("kind", change.Kind));
            return new ReleaseOutcome(change.Next, evaluation.Changes);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>
    /// What a change that nobody has decided on would be about: the state it would be made on, the state it leads to, and the known documents it can touch. The
    /// turn is taken for the look at the index alone; <paramref name="there"/> reads the candidate's commits.
    /// </summary>
    public async Task<(LiveState Live, ReleaseState Next, HashSet<DocumentKey> Affected)> PreviewAsync(
        ReleaseEvaluator there, Func<ReleaseState, ReleaseState> change, CancellationToken cancellationToken)
    {
        while (true)
        {
            var live = Live;
            var moves = await there.MovesAsync(live, change(live.Release), cancellationToken);
            await _turn.WaitAsync(cancellationToken);
            try
            {
                // The moves hold as long as the refs stand where they stood.
                if (!ReferenceEquals(_live.Release.Refs, live.Release.Refs)) continue;
                live = _live;
                var next = change(live.Release);
                return (live, next, ReleaseEvaluator.Affected(live, next, moves, _index));
            }
            finally
            {
                _turn.Release();
            }
        }
    }

    /// <summary>Makes a document known, if it is not, and returns it. A document that <paramref name="isListed"/> needs no file of its own.</summary>
    /// <exception cref="LockstepException">not-found when the label, or any file of the service, does not exist.</exception>
    public async Task<DocumentState> KnowAsync(DocumentKey key, bool isListed, CancellationToken cancellationToken)
    {
        var live = Live;
        if (live.Documents.TryGetValue(key, out var state)) return state;
        // Outside the turn: who asks for what does not exist holds nobody up.
        var resolution = await evaluator.ResolveFirstAsync(key, live.Release, cancellationToken);
        if (!resolution.HasOwnFile && !isListed) throw NoFile(resolution);
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (_live.Documents.TryGetValue(key, out state)) return state;
            if (_live.Release.Number != live.Release.Number)
            {
                live = _live;
                resolution = await evaluator.ResolveFirstAsync(key, live.Release, cancellationToken);
            }
            var now = time.GetUtcNow().ToUnixTimeMilliseconds();
            state = await WithLastValidAsync(evaluator.First(resolution, new DocumentUsage(now) { IsListed = isListed }), live.Release, cancellationToken);
            await RememberAsync(key, live.Release.Number, resolution.IsValid ? state.Current!.Full.ETag : null, now);
            Publish(key, state);
            ForgetBeyondBounds(key);
            return state;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Forgets documents that were last served before <paramref name="before"/>, and returns all that were forgotten since the last call.</summary>
    public async Task<IReadOnlyCollection<DocumentKey>> ForgetAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            var limit = before.ToUnixTimeMilliseconds();
            Forget(_live.Documents.Where(d => !d.Value.Usage.IsListed && d.Value.Usage.LastServedAt < limit && !IsFollowed(d.Key)).Select(d => d.Key).ToList());
            var forgotten = _forgotten.Where(key => !_live.Documents.ContainsKey(key)).ToList();
            _forgotten.Clear();
            return forgotten;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Notes why the remote does not answer, and since when (default: from now on); null when it does.</summary>
    public void MarkStale(string? reason, DateTimeOffset? since = null) => Swap(live => live with
    {
        Stale = reason is null ? null : new Staleness(live.Stale?.Since ?? since ?? time.GetUtcNow(), reason),
    });

    public void Dispose() => _turn.Dispose();

    // A document can be read while the database can't be written; the next bookkeeping writes that it is known.
    private async Task RememberAsync(DocumentKey key, long release, string? etag, long servedAt)
    {
        try
        {
            await known.AddAsync(key, release, etag, servedAt, CancellationToken.None);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            // Readiness tells of the database.
        }
    }

    private async Task<(Resolution Resolution, DocumentState State)> LoadAsync(DocumentKey key, DocumentUsage usage, ReleaseState newest, CancellationToken cancellationToken)
    {
        var resolution = await evaluator.ResolveAsync(key, newest, newest, cancellationToken);
        return (resolution, await WithLastValidAsync(evaluator.First(resolution, usage), newest, cancellationToken));
    }

    private async Task CatchUpAsync(CancellationToken cancellationToken)
    {
        var newest = await evaluator.NewestAsync(cancellationToken);
        if (newest.Number != _live.Release.Number)
            await LoadAsync(newest, _live.Documents.Select(d => (d.Key, d.Value.Usage)).ToList(), cancellationToken);
        _unsure = false;
    }

    private static async Task<T> TimedAsync<T>(string phase, Func<Task<T>> work)
    {
        using var time = Telemetry.Time(s_phases, "release " + phase, new("phase", phase));
        var result = await work();
        time.Done();
        return result;
    }

    private async Task<bool> WriteAsync(ReleaseState old, ReleaseChange change, Evaluation evaluation, Action<SqlSession>? prepared)
    {
        try
        {
            return await database.WriteAsync(session =>
            {
                Write(session, old, change, evaluation);
                prepared?.Invoke(session);
                return true;
            }, CancellationToken.None, here: true);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            _unsure = true;
            throw;
        }
    }

    private static void Write(SqlSession session, ReleaseState old, ReleaseChange change, Evaluation evaluation)
    {
        if (change.Next.Number != old.Number)
        {
            ReleaseStore.Advance(session, old, change.Next);
            ReleaseStore.WriteJournal(session, change.Next.Number, change.Kind, change.Actor, change.Next.At, change.Message);
            foreach (var document in evaluation.Changes) KnownDocuments.Insert(session, document, change.Next.Number);
        }
        change.Persist?.Invoke(session);
    }

    // An invalid document is served as it last was valid; after a restart that has to be resolved again.
    private async Task<DocumentState> WithLastValidAsync(DocumentState state, ReleaseState now, CancellationToken cancellationToken)
    {
        var key = state.Resolution.Key;
        if (state.Resolution.IsValid || await known.LastValidAsync(key, now.Number, cancellationToken) is not { } since) return state;
        var broke = await known.FirstChangeAfterAsync(key, since, cancellationToken);
        var validAt = broke is { } b ? b.Release - 1 : since;
        return await evaluator.ResolvePastAsync(key, validAt, now, cancellationToken) is { IsValid: true } past
            ? state with { Current = evaluator.First(past, state.Usage).Current, Invalid = new InvalidState(validAt, past.Commit, past.Pinned, broke?.At ?? now.At) }
            : state;
    }

    private void Publish(DocumentKey key, DocumentState state)
    {
        _index.Set(state.Resolution);
        Swap(live => live with { Documents = live.Documents.SetItem(key, state) });
    }

    // The ones served longest ago go first, never the one just asked for nor those that the settings list or somebody follows.
    private void ForgetBeyondBounds(DocumentKey newest)
    {
        var bytes = _live.Documents.Values.Sum(d => (long)(d.Current?.Full.Body.Length ?? 0));
        var count = _live.Documents.Count;
        if (count <= KnownDocuments.Limit && bytes <= KnownDocuments.MaxBytes) return;
        var forgotten = new List<DocumentKey>();
        foreach (var (key, state) in _live.Documents.Where(d => !d.Value.Usage.IsListed && d.Key != newest && !IsFollowed(d.Key)).OrderBy(d => d.Value.Usage.LastServedAt))
        {
            if (count <= KnownDocuments.Limit * 99 / 100 && bytes <= KnownDocuments.MaxBytes) break;
            forgotten.Add(key);
            (count, bytes) = (count - 1, bytes - (state.Current?.Full.Body.Length ?? 0));
        }
        Forget(forgotten);
    }

    private void Forget(IReadOnlyCollection<DocumentKey> keys)
    {
        foreach (var key in keys) _forgotten.Enqueue(key);
        foreach (var key in keys) _index.Remove(key);
        Swap(live => live with { Documents = live.Documents.RemoveRange(keys) });
    }

    // MarkStale may swap at any time; everything else happens under the turn.
    private void Swap(Func<LiveState, LiveState> change)
    {
        LiveState old;
        do old = Live;
        while (Interlocked.CompareExchange(ref _live, change(old), old) != old);
        Swapped?.Invoke();
    }

    private static LockstepException NoFile(Resolution resolution) => new(ErrorCode.NotFound,
        $"no file of the repository is named after the service '{resolution.Key.Service}' (such as {resolution.Key.Service}.yml) at '{resolution.LabelName}'");

    private static LockstepException Breaks(ImmutableArray<(DocumentKey Key, ImmutableArray<ConfigError> Errors)> broken, Func<DocumentKey, bool> mayName)
    {
        var named = broken.Where(b => mayName(b.Key)).ToList();
        var others = broken.Length - Math.Min(named.Count, MaxNamed);
        var what = string.Join(", ", [.. named.Take(MaxNamed).Select(b => b.Key.ToString()), .. others > 0 ? [$"{others} other documents"] : Array.Empty<string>()]);
        return new LockstepException(ErrorCode.Conflict, $"this would break {what}; ?force=true (--force) does it all the same")
        {
            Errors = [.. named.Take(100).SelectMany(b => b.Errors.Take(3).Select(e => e.ToProblem() with { Message = $"{b.Key}: {e.Message}" }))],
        };
    }
}
