using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Lockstep.Client;
using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

/// <summary>Reads commits: those of the repository, or those of a candidate too, whose objects lie elsewhere until it is accepted (<see cref="GitProcess.With"/>).</summary>
internal sealed class GitReader(GitProcess git, ILogger logger) : IAsyncDisposable
{
    /// <summary>For commands that are given paths: none of them is a pattern.</summary>
    public static IReadOnlyDictionary<string, string> Literal { get; } = new Dictionary<string, string>(StringComparer.Ordinal) { ["GIT_LITERAL_PATHSPECS"] = "1" };

    private static readonly Dictionary<string, string> s_alone = new(StringComparer.Ordinal) { ["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = "" };

    public GitObjects Objects { get; } = new(git);

    /// <summary>The config files of a commit.</summary>
    public async Task<ConfigTree> ReadTreeAsync(string commit, CancellationToken cancellationToken)
    {
        RequireId(commit);
        var command = new GitCommand("ls-tree", "-r", "-z", "--full-tree", commit);
        var result = await git.RunAsync($"the files of commit {commit} cannot be listed", command, cancellationToken);
        var blobs = GitTrees.ParseListing(result.Output.Span, out var skipped);
        if (skipped > 0)
            logger.NamesSkipped(skipped, commit);
        return new ConfigTree(commit, blobs);
    }

    /// <summary>
    /// The config files of <paramref name="toCommit"/>, and the paths in which they differ from <paramref name="from"/>, sorted. Costs what changed; when the
    /// old commit is gone or nearly everything changed, the new one is listed instead.
    /// </summary>
    public async Task<(ConfigTree To, ImmutableArray<string> ChangedPaths)> DiffAsync(ConfigTree from, string toCommit, CancellationToken cancellationToken)
    {
        RequireId(toCommit);
        if (from.Commit == toCommit)
            return (from, []);
        if (GitNames.IsObjectId(from.Commit))
        {
            var command = new GitCommand("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", from.Commit, toCommit, "--")
            {
                OutputLimit = git.Limits.DiffBytes,
            };
            var result = await git.RunAsync(command, cancellationToken);
            if (result.Succeeded)
            {
                var (blobs, changed) = GitTrees.Apply(from.Blobs, result.Output.Span, out var skipped);
                if (skipped > 0)
                    logger.NamesSkipped(skipped, toCommit);
                return (new ConfigTree(toCommit, blobs), changed);
            }
        }

        var to = await ReadTreeAsync(toCommit, cancellationToken);
        return (to, GitTrees.Compare(from.Blobs, to.Blobs));
    }

    /// <summary>The full id of the commit that a full or abbreviated id (7 digits and more) names; null when there is none, or more than one.</summary>
    public async Task<string?> ResolveCommitAsync(string label, CancellationToken cancellationToken)
    {
        if (label.Length is < 7 or > 64)
            return null;
        // The id of a tag object leads to a commit that does not begin so; a branch may be named so. Neither is what was asked for.
        var commit = await Objects.PeelAsync(label.ToLowerInvariant(), cancellationToken);
        return commit is not null && commit.StartsWith(label, StringComparison.OrdinalIgnoreCase) ? commit : null;
    }

    /// <summary>The blob of one regular file; null when there is none of that name, or it is something else.</summary>
    public async Task<string?> FileAsync(string commit, string path, CancellationToken cancellationToken)
    {
        RequireId(commit);
        var command = new GitCommand("ls-tree", "-z", "--full-tree", commit, "--", path) { Environment = Literal };
        var result = await git.RunAsync($"{path} of commit {commit} cannot be looked up", command, cancellationToken);
        return GitTrees.ParseEntry(result.Output.Span);
    }

    /// <summary>
    /// The commits that no ref leads to yet, ancestors first: those that <paramref name="tips"/> lead to, and all others that came with them, as who knows its id can read a
    /// commit that no ref leads to.
    /// </summary>
    /// <exception cref="LockstepException">too-large when there are more than <paramref name="limit"/>.</exception>
    public async Task<ImmutableArray<GitNewCommit>> NewCommitsAsync(IEnumerable<string> tips, int limit, CancellationToken cancellationToken)
    {
        var from = new StringBuilder();
        foreach (var tip in tips) from.Append(tip).Append('\n');
        if (git.IsOverlay)
        {
            // Without the repository's own objects: those alone that were brought.
            var all = new GitCommand("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectname)") { Environment = s_alone, OutputLimit = git.Limits.DiffBytes };
            var brought = await RunAsync(all);
            foreach (var range in brought.Span.Split((byte)'\n'))
                if (brought.Span[range].StartsWith("commit "u8)) from.Append(Encoding.ASCII.GetString(brought.Span[range]["commit ".Length..])).Append('\n');
        }
        if (from.Length == 0) return [];
        var list = new GitCommand("rev-list", string.Create(CultureInfo.InvariantCulture, $"--max-count={limit + 1}"), "--topo-order", "--reverse", "--parents", "--stdin", "--not", "--all") { Input = Encoding.ASCII.GetBytes(from.ToString()) };
        var commits = Encoding.ASCII.GetString((await RunAsync(list)).Span).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return commits.Length > limit ? throw TooMany() : [.. commits.Select(line => line.Split(' ')).Select(ids => new GitNewCommit(ids[0], [.. ids[1..]]))];

        async Task<ReadOnlyMemory<byte>> RunAsync(GitCommand command)
        {
            var result = await git.RunAsync(command, cancellationToken);
            if (result.Outcome == GitOutcome.OutputTooLarge) throw TooMany();
            return result.Succeeded ? result.Output : throw git.Failure("the commits that are new cannot be read", result);
        }

        LockstepException TooMany() => new(ErrorCode.TooLarge, $"the token's paths and secrets are limited, so that every commit is checked, up to {limit:N0} at once: push them in several steps");
    }

    /// <summary>Whether there is such an object, of whatever type.</summary>
    public async Task<bool> HoldsAsync(string id, CancellationToken cancellationToken)
    {
        RequireId(id);
        return (await git.RunAsync(new GitCommand("cat-file", "-e", id), cancellationToken)).Succeeded;
    }

    /// <summary>Whether the history of <paramref name="to"/> has <paramref name="from"/> in it, so that moving from one to the other loses nothing.</summary>
    public async Task<bool> IsAncestorAsync(string from, string to, CancellationToken cancellationToken)
    {
        RequireId(from);
        RequireId(to);
        // Unlike merge-base it does not keep the text of every commit that it passes.
        var result = await git.RunAsync("the history cannot be read", new GitCommand("rev-list", "--max-count=1", from, "^" + to, "--"), cancellationToken);
        if (result.Output.IsEmpty) return true;
        // It goes by the dates of the commits and gives up early where those are wrong; then the history is looked through.
        var all = await git.RunAsync("the history cannot be read", new GitCommand("rev-list", to, "--"), cancellationToken);
        return all.Output.Span.IndexOf(Encoding.ASCII.GetBytes(from)) >= 0;
    }

    public ValueTask DisposeAsync() => Objects.DisposeAsync();

    public static void RequireId(string commit)
    {
        if (!GitNames.IsObjectId(commit))
            throw new ArgumentException("A commit is named by its full id, in lower case.", nameof(commit));
    }
}
