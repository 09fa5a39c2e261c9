using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Config;

namespace Lockstep.Releases;

/// <summary>What a document is made of at a release: its property sources, and other files beside them. Follows pins and labels as documents do.</summary>
internal sealed class ReleaseSources(ReleaseResolver resolver, SourceLoader sources, RepositoryFiles files)
{
    /// <param name="key">What for.</param>
    /// <param name="label">What <c>{label}</c> in search paths stands for; null: for the key's own.</param>
    /// <param name="state">The release.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="LockstepException">not-found when the key's label names no branch, tag or commit.</exception>
    public async Task<SourcesAt> AtAsync(DocumentKey key, string? label, ReleaseState state, CancellationToken cancellationToken)
    {
        var (at, commit) = await PlaceAsync(key, state, cancellationToken);
        return new SourcesAt(await sources.LoadAsync(key, (label ?? key.Label ?? at.Shape.Branch, commit), at.Shape, cancellationToken), at, commit);
    }

    /// <summary>As <see cref="AtAsync(DocumentKey, string, ReleaseState, CancellationToken)"/> at an earlier release.</summary>
    public async Task<SourcesAt> AtAsync(DocumentKey key, string? label, long release, CancellationToken cancellationToken) =>
        await AtAsync(key, label, await resolver.StateAtAsync(release, cancellationToken), cancellationToken);

    /// <summary>
    /// The first file of that name in the document's search locations, in their order; in each the one made for an environment (<c>name-ENV.ext</c>) comes
    /// before the plain one. Null when there is none.
    /// </summary>
    /// <exception cref="LockstepException">invalid-config when a search path can't be used, or leads to too much.</exception>
    public async Task<FoundFile?> FindFileAsync(DocumentKey key, string? label, ReleaseState state, string path, CancellationToken cancellationToken)
    {
        var (at, commit) = await PlaceAsync(key, state, cancellationToken);
        label ??= key.Label ?? at.Shape.Branch;
        var names = Candidates(path, key.Environments).ToList();
        var patterns = new Dictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        foreach (var pattern in SearchLocations.Create(key, label, at.Shape.SearchPaths, _ => []).Patterns)
        {
            var holding = new List<string>();
            foreach (var directory in await files.DirectoriesAsync(commit, pattern, cancellationToken))
                if (await FindAsync(directory) is not null) holding.Add(directory);
            patterns[pattern] = holding;
        }
        var locations = SearchLocations.Create(key, label, at.Shape.SearchPaths, pattern => patterns[pattern]);
        if (!locations.Errors.IsEmpty) throw new LockstepException(ErrorCode.InvalidConfig, locations.Errors[0]);
        foreach (var directory in locations.Directories)
            if (await FindAsync(directory) is { } found) return found;
        return null;

        async Task<FoundFile?> FindAsync(string directory)
        {
            foreach (var name in names)
            {
                var full = directory.Length == 0 ? name : $"{directory}/{name}";
                if (await files.FindAsync(commit, full, cancellationToken) is { } blob) return new FoundFile(full, blob, at);
            }
            return null;
        }
    }

    /// <summary>The content of a file, up to the limit for config files.</summary>
    public Task<ReadOnlyMemory<byte>> ReadFileAsync(FoundFile file, CancellationToken cancellationToken) => files.ReadAsync(file.Path, file.Blob, cancellationToken);

    private async Task<(ReleaseState At, string Commit)> PlaceAsync(DocumentKey key, ReleaseState state, CancellationToken cancellationToken)
    {
        // A pin points to a release before its own, so this ends.
        while (ReleaseResolver.PinOf(key, state) is { } target) state = await resolver.StateAtAsync(target, cancellationToken);
        return (state, await resolver.CommitAsync(key.Label, state, cancellationToken));
    }

    private static IEnumerable<string> Candidates(string path, ImmutableArray<string> environments)
    {
        var dot = path.LastIndexOf('.');
        if (dot <= path.LastIndexOf('/')) dot = path.Length;
        return environments.Select(e => e == "default" ? path : $"{path[..dot]}-{e}{path[dot..]}").Append(path).Distinct(StringComparer.Ordinal);
    }
}

/// <summary>The sources of a document where they were found.</summary>
/// <param name="Set">The sources.</param>
/// <param name="State">The release whose settings and secrets go with them: of a pinned document an earlier one.</param>
/// <param name="Commit">Empty while the tracked branch does not exist.</param>
internal sealed record SourcesAt(SourceSet Set, ReleaseState State, string Commit)
{
    /// <summary>Of a document that does not resolve: when it last did.</summary>
    public ServedHead? Last { get; init; }
}

/// <summary>The release that an answer is of, and since when and why it is not the newest.</summary>
internal sealed record ServedHead(long Release, Staleness? Stale);

/// <summary>A file of the repository that a document's search locations led to.</summary>
/// <param name="Path">From the root of the repository.</param>
/// <param name="Blob">The id of its content.</param>
/// <param name="State">The release it was found at.</param>
internal sealed record FoundFile(string Path, string Blob, ReleaseState State);
