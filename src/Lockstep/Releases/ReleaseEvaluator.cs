using System.Collections.Frozen;
using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;

namespace Lockstep.Releases;

/// <summary>
/// Works out what a change does to the known documents before it is made: which the dependency index names, what they resolve to then, which of
/// them really change and which break. Changes nothing itself.
/// </summary>
internal sealed class ReleaseEvaluator(ReleaseResolver resolver, SourceLoader sources, RenderDocument render)
{
    // From here on other cores are asked to help: below, to wake them costs more than they save.
    private const int ManyDocuments = 16;

    public async Task<Evaluation> EvaluateAsync(LiveState live, ReleaseChange change, DependencyIndex index, CancellationToken cancellationToken)
    {
        var moves = await MovesAsync(live, change.Next, cancellationToken);
        var affected = Affected(live, change.Next, moves, index);
        var documents = live.Documents.ToBuilder();
        var touched = new List<Resolution>(affected.Count);
        var changes = ImmutableArray.CreateBuilder<DocumentChange>();
        var broken = ImmutableArray.CreateBuilder<(DocumentKey, ImmutableArray<ConfigError>)>();
        var looked = await ForEachAsync(
            affected.Where(live.Documents.ContainsKey).ToList(), key => EvaluateOneAsync(key, live, change.Next, cancellationToken), cancellationToken);
        foreach (var (old, next, changed) in looked)
        {
            var resolution = next.Resolution;
            touched.Add(resolution);
            documents[resolution.Key] = next;
            if (old.Resolution.IsValid && !resolution.IsValid) broken.Add((resolution.Key, resolution.Errors));
            if (changed is not null) changes.Add(changed);
        }
        return new Evaluation(live with { Release = change.Next, Documents = documents.ToImmutable() }, touched, changes.ToImmutable(), broken.ToImmutable());
    }

    /// <summary>The same over the commits of a candidate, with the loader it reads them through; that is the caller's to dispose of.</summary>
    public (ReleaseEvaluator Evaluator, SourceLoader Sources) Over(GitReader reader, KnownCipherTexts known)
    {
        var there = sources.Over(reader, known);
        return (new ReleaseEvaluator(resolver.Over(there, reader), there, render), there);
    }

    /// <summary>The encrypted values in a document's files as they are at present; null when <paramref name="commit"/> is the present one.</summary>
    public async Task<IReadOnlySet<string>?> CipherTextsAsync(DocumentKey key, LiveState live, string commit, CancellationToken cancellationToken)
    {
        if (!live.Documents.TryGetValue(key, out var state)) return FrozenSet<string>.Empty;
        var present = ReleaseResolver.CommitFor(state.Resolution, live.Release);
        return present == commit ? null : await sources.CipherTextsAsync(key, (key.Label ?? live.Release.Shape.Branch, present), live.Release.Shape, cancellationToken);
    }

    /// <summary>
    /// What a state of the refs changes in the files, by label of a known document ("" stands for the tracked branch). Null stands for everything; a label
    /// that stays where it is has no entry.
    /// </summary>
    public async Task<Dictionary<string, ImmutableArray<string>?>> MovesAsync(LiveState live, ReleaseState next, CancellationToken cancellationToken)
    {
        var moves = new Dictionary<string, ImmutableArray<string>?>(StringComparer.Ordinal);
        if (ReferenceEquals(live.Release.Refs, next.Refs)) return moves;
        foreach (var label in live.Documents.Keys.Select(k => k.Label).Distinct(StringComparer.Ordinal).ToList())
        {
            var (from, to) = (ReleaseResolver.CommitOf(label, live.Release), ReleaseResolver.CommitOf(label, next));
            if (from != to) moves[label ?? ""] = from is null || to is null ? null : await ChangedAsync(from, to, cancellationToken);
        }
        return moves;
    }

    /// <summary>The known documents that a change can touch.</summary>
    public static HashSet<DocumentKey> Affected(
        LiveState live, ReleaseState next, Dictionary<string, ImmutableArray<string>?> moves, DependencyIndex index)
    {
        var old = live.Release;
        if (old.Shape.Hash != next.Shape.Hash) return [.. live.Documents.Keys];
        var affected = new HashSet<DocumentKey>();
        if (!ReferenceEquals(old.Refs, next.Refs))
        {
            foreach (var documents in live.Documents.Keys.GroupBy(k => k.Label, StringComparer.Ordinal))
            {
                if (ReleaseResolver.CommitOf(documents.Key, old) == ReleaseResolver.CommitOf(documents.Key, next)) continue;
                // A label that became known after the moves were worked out has none: then all its documents are looked at.
                if (moves.GetValueOrDefault(documents.Key ?? "") is { } paths) index.AddPathDependents(documents.Key, paths, affected);
                else affected.UnionWith(documents);
            }
        }
        foreach (var id in next.ActivatedSince(old))
        {
            index.AddSecretDependents(id, affected);
            // The index has what a document needs now; one that is served as it last was may hold others.
            affected.UnionWith(live.Documents.Where(d => d.Value.Invalid is not null && d.Value.Current!.Resolution.SecretIds.Contains(id)).Select(d => d.Key));
        }
        if (!ReferenceEquals(old.Pins, next.Pins))
            foreach (var pin in old.Pins.Except(next.Pins).Concat(next.Pins.Except(old.Pins)).Select(p => p.Key))
                affected.Add(new DocumentKey(pin.Service, pin.Environment));
        return affected;
    }

    /// <summary>Does the same for many documents, on all cores when they are many, and returns what comes of it in their order.</summary>
    public static async Task<TResult[]> ForEachAsync<TItem, TResult>(IReadOnlyList<TItem> items, Func<TItem, Task<TResult>> work, CancellationToken cancellationToken)
    {
        var results = new TResult[items.Count];
        // The first one alone: it reads the tree and the shared files that all others find in memory.
        for (var i = 0; i < (items.Count < ManyDocuments ? items.Count : 1); i++) results[i] = await work(items[i]);
        if (items.Count < ManyDocuments) return results;
        var options = new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellationToken };
        await Parallel.ForAsync(1, items.Count, options, async (i, _) => results[i] = await work(items[i]));
        return results;
    }

    /// <summary>A document as it stands at a release, as nobody has seen it before.</summary>
    public DocumentState First(Resolution resolution, DocumentUsage usage) => resolution.IsValid
        ? new DocumentState(resolution, new Document(resolution, render), null, usage)
        : new DocumentState(resolution, null, null, usage);

    /// <summary>The newest release in the database.</summary>
    public Task<ReleaseState> NewestAsync(CancellationToken cancellationToken) => resolver.NewestAsync(cancellationToken);

    /// <summary>The commit a label stands for.</summary>
    /// <exception cref="LockstepException">not-found when it names no branch, tag or commit.</exception>
    public Task<string> CommitAsync(string label, ReleaseState state, CancellationToken cancellationToken) => resolver.CommitAsync(label, state, cancellationToken);

    /// <summary>Resolves for a reader who asks for the first time.</summary>
    /// <exception cref="LockstepException">not-found when the label names nothing.</exception>
    public Task<Resolution> ResolveFirstAsync(DocumentKey key, ReleaseState state, CancellationToken cancellationToken) =>
        resolver.ResolveAsync(key, state, state, cancellationToken);

    /// <summary>Resolves at an earlier release, with a label that named nothing there as an error of the document.</summary>
    public async Task<Resolution> ResolvePastAsync(DocumentKey key, long release, ReleaseState now, CancellationToken cancellationToken) =>
        await ResolveAsync(key, await resolver.StateAtAsync(release, cancellationToken), now, cancellationToken);

    /// <summary>Resolves, with a label that names nothing as an error of the document.</summary>
    public async Task<Resolution> ResolveAsync(
        DocumentKey key, ReleaseState state, ReleaseState now, CancellationToken cancellationToken, Resolution? before = null)
    {
        try
        {
            return await resolver.ResolveAsync(key, state, now, cancellationToken, before);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound)
        {
            return Failed(key, e.Message);
        }
        catch (Exception e) when (e is not (LockstepException or OperationCanceledException))
        {
            // A defect that one document meets must not hold up the others, nor the start.
            return Failed(key, $"an unexpected failure ({e.GetType().Name}); please report it with the file");
        }
    }

    private static Resolution Failed(DocumentKey key, string message) => new(key, key.Label ?? "", "") { Errors = [new ConfigError(null, null, message)] };

    // Null when the old commit can't be read any more, as after a mirror was made anew: then everything may have changed.
    private async Task<ImmutableArray<string>?> ChangedAsync(string from, string to, CancellationToken cancellationToken)
    {
        try
        {
            return await sources.AdvanceAsync(from, to, cancellationToken);
        }
        catch (LockstepException)
        {
            await sources.ReadAsync(to, cancellationToken);
            return null;
        }
    }

    private async Task<(DocumentState Old, DocumentState Next, DocumentChange? Change)> EvaluateOneAsync(
        DocumentKey key, LiveState live, ReleaseState to, CancellationToken cancellationToken)
    {
        var old = live.Documents[key];
        var before = live.Release.Shape.Hash == to.Shape.Hash ? old.Resolution : null;
        var resolution = await ResolveAsync(key, to, to, cancellationToken, before);
        // Which files a document looks for hardly ever changes: one list of their names is kept, not one for each release under way.
        if (resolution.Files.IsSameAs(old.Resolution.Files)) resolution = resolution with { Files = old.Resolution.Files };
        var next = Next(old, resolution, live.Release, to);
        return (old, next, ChangeOf(key, old, next));
    }

    /// <summary>What becomes of a known document with its new resolution.</summary>
    public DocumentState Next(DocumentState old, Resolution resolution, ReleaseState from, ReleaseState to)
    {
        if (resolution.IsValid)
        {
            var document = new Document(resolution, render);
            // The same bytes: keep the object, so that what was rendered for partial readers is kept too; only what it depends on may differ.
            var current = old.Current is { } before && before.Full.ETag == document.Full.ETag && before.Resolution.SecretIds.SequenceEqual(resolution.SecretIds)
                && SameVersions(before.Resolution, resolution) ? before : document;
            return new DocumentState(resolution, current, null, old.Usage);
        }
        // A document with a secret that is deleted now is not served any more, not even stale.
        if (old.Current is { } last && !last.Resolution.SecretIds.All(to.Active.ContainsKey)) return new DocumentState(resolution, null, null, old.Usage);
        var invalid = old.Invalid ?? (old.Current is null
            ? null
            : new InvalidState(from.Number, ReleaseResolver.CommitFor(old.Resolution, from), old.Resolution.Pinned, to.At));
        return new DocumentState(resolution, old.Current, invalid, old.Usage);
    }

    private static bool SameVersions(Resolution a, Resolution b) =>
        a.Secrets.Count == b.Secrets.Count
        && a.Secrets.All(s => b.Secrets.TryGetValue(s.Key, out var other) && other.Version == s.Value.Version);

    /// <summary>How a known document changed; null when its readers see the same.</summary>
    public static DocumentChange? ChangeOf(DocumentKey key, DocumentState old, DocumentState next)
    {
        if (!next.Resolution.IsValid)
            return old.Resolution.IsValid ? new DocumentChange(key, null, []) { Reason = next.Resolution.Reason } : null;
        if (old.Current is null)
            return new DocumentChange(key, next.Current!.Full.ETag, [.. next.Resolution.Values.Select(v => v.Key)]);
        if (old.Resolution.IsValid && old.Current.Full.ETag == next.Current!.Full.ETag) return null;
        return new DocumentChange(key, next.Current!.Full.ETag, [.. DocumentDiff.Between(old.Current.Resolution, next.Resolution).Keys]);
    }
}

/// <summary>What a change comes to if it is made.</summary>
/// <param name="Live">The state readers see then.</param>
/// <param name="Touched">The resolutions of every document that was looked at, changed or not.</param>
/// <param name="Changes">The documents that change.</param>
/// <param name="Broken">The documents that were valid and would not be.</param>
internal sealed record Evaluation(
    LiveState Live, IReadOnlyList<Resolution> Touched, ImmutableArray<DocumentChange> Changes,
    ImmutableArray<(DocumentKey Key, ImmutableArray<ConfigError> Errors)> Broken);
