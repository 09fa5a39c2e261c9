using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>Resolves a document at a release: follows its pin, finds the commit of its label, and resolves it with the secrets active there.</summary>
internal sealed class ReleaseResolver(DocumentResolver documents, ReleaseStore store, GitReader git)
{
    /// <summary>The same over other commits.</summary>
    public ReleaseResolver Over(SourceLoader sources, GitReader others) => new(documents.Over(sources), store, others);

    /// <summary>
    /// Resolves at <paramref name="state"/> with the secrets that <see cref="ActiveAt"/> names.
    /// <paramref name="before"/> is what the document was, of the same shape; when its files are the same, they are not gone through again.
    /// </summary>
    /// <exception cref="LockstepException">not-found when the label names no branch, tag or commit; unavailable when a store does not answer.</exception>
    public async Task<Resolution> ResolveAsync(
        DocumentKey key, ReleaseState state, ReleaseState now, CancellationToken cancellationToken, Resolution? before = null)
    {
        if (PinOf(key, state) is { } target)
        {
            // A pin points to a release before its own, so this ends.
            var past = await store.AtAsync(target, cancellationToken);
            return await ResolveAsync(key, past, now, cancellationToken) with { Pinned = target };
        }
        var commit = await CommitAsync(key.Label, state, cancellationToken);
        var active = ActiveAt(state, now);
        return before is { IsValid: true, Pinned: null } && before.Commit == commit
            ? await documents.RebindAsync(before, active, cancellationToken)
            : await documents.ResolveAsync(key, (key.Label ?? state.Shape.Branch, commit), state.Shape, active, cancellationToken);
    }

    public Task<ReleaseState> NewestAsync(CancellationToken cancellationToken) => store.NewestAsync(cancellationToken);

    public Task<ReleaseState> StateAtAsync(long release, CancellationToken cancellationToken) => store.AtAsync(release, cancellationToken);

    /// <summary>The commit a label stands at; empty when the tracked branch does not exist yet.</summary>
    public async Task<string> CommitAsync(string? label, ReleaseState state, CancellationToken cancellationToken) =>
        label is null
            ? CommitOf(label, state) ?? ""
            : state.CommitOf(label) ?? await git.ResolveCommitAsync(label, cancellationToken)
                ?? throw new LockstepException(ErrorCode.NotFound, $"'{label}' is no branch, tag or commit of the repository");

    /// <summary>The commit a label stands at in <paramref name="state"/>, null being the tracked branch; null when it names none. A commit id does not stand anywhere.</summary>
    public static string? CommitOf(string? label, ReleaseState state) =>
        label is null ? state.Refs.GetValueOrDefault(GitNames.BranchRef(state.Shape.Branch)) : state.CommitOf(label);

    /// <summary>The commit that a document, resolved at <paramref name="state"/> or before and the same there, is made of.</summary>
    public static string CommitFor(Resolution resolution, ReleaseState state) =>
        resolution.Pinned is null ? CommitOf(resolution.Key.Label, state) ?? resolution.Commit : resolution.Commit;

    /// <summary>The versions active at <paramref name="state"/> of the secrets that still live in <paramref name="now"/>: a deleted one is gone from the past too.</summary>
    public static Func<SecretId, int?> ActiveAt(ReleaseState state, ReleaseState now) => id => now.Active.ContainsKey(id) ? state.ActiveVersion(id) : null;

    public static long? PinOf(DocumentKey key, ReleaseState state) =>
        key.Label is null && state.Pins.TryGetValue(new PinKey(key.Service, key.Environment), out var target) ? target : null;
}
