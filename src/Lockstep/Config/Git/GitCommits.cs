using System.Globalization;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>Makes commits in a bare repository with git's own plumbing; no working tree is involved.</summary>
internal sealed class GitCommits(GitProcess git)
{
    private const string Mail = "lockstep@localhost";

    // On one command line, which takes two million characters.
    private const int PathsPerCommand = 200;

    /// <summary>See <see cref="GitRepository.CommitAsync"/>.</summary>
    public async Task<string> CommitAsync(
        string branch, string? parent, IReadOnlyDictionary<string, byte[]?> files, (string Author, string Message) text, CancellationToken cancellationToken)
    {
        if (!GitNames.IsBranchName(branch))
            throw new LockstepException(ErrorCode.BadRequest, $"'{GitNames.Shown(branch)}' cannot be the name of a branch");
        var commit = await MakeAsync(parent, files, text, cancellationToken);
        if (commit != parent)
            await MoveAsync(branch, parent, commit, cancellationToken);
        return commit;
    }

    /// <summary>Makes a commit that no branch names. If no file differs, none is made and the parent is answered.</summary>
    public async Task<string> MakeAsync(
        string? parent, IReadOnlyDictionary<string, byte[]?> files, (string Author, string Message) text, CancellationToken cancellationToken)
    {
        Check(parent, files);
        if (parent is not null) await CheckRoomAsync(parent, files, cancellationToken);
        var index = Path.Combine(git.Directory, $"lockstep-index-{Guid.NewGuid():N}");
        var environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["GIT_INDEX_FILE"] = index };
        try
        {
            if (parent is not null)
                await RunAsync(new GitCommand("read-tree", parent) { Environment = environment }, cancellationToken);
            var blobs = await WriteBlobsAsync([.. files.Values.OfType<byte[]>()], cancellationToken);
            var (changes, next) = (new StringBuilder(), 0);
            // Mode 0 removes. Both forms want an id of the right length.
            foreach (var (path, content) in files)
                changes.Append(content is null ? "0" : await ModeAsync(parent, files, path, cancellationToken)).Append(' ')
                    .Append(content is null ? new string('0', parent?.Length ?? 40) : blobs[next++]).Append('\t').Append(path).Append('\0');

            var update = new GitCommand("update-index", "-z", "--index-info") { Environment = environment, Input = Encoding.UTF8.GetBytes(changes.ToString()) };
            await RunAsync(update, cancellationToken);
            var tree = await RunAsync(new GitCommand("write-tree") { Environment = environment }, cancellationToken);
            if (parent is not null && tree == await RunAsync(new GitCommand("rev-parse", "--verify", parent + "^{tree}"), cancellationToken))
                return parent;

            return await RunAsync(CommitTree(tree, parent, text), cancellationToken);
        }
        finally
        {
            File.Delete(index);
            File.Delete(index + ".lock");
        }
    }

    // A file stays executable. Many at once are only looked at, or are new.
    private async Task<string> ModeAsync(string? parent, IReadOnlyDictionary<string, byte[]?> files, string path, CancellationToken cancellationToken)
    {
        if (parent is null || files.Count > 1) return "100644";
        var command = new GitCommand("ls-tree", "--full-tree", parent, "--", path) { Environment = GitReader.Literal };
        return (await RunAsync(command, cancellationToken)).StartsWith("100755 blob ", StringComparison.Ordinal) ? "100755" : "100644";
    }

    // One process for all, however many they are.
    private async Task<string[]> WriteBlobsAsync(IReadOnlyList<byte[]> contents, CancellationToken cancellationToken)
    {
        if (contents.Count == 0) return [];
        var name = GitScratch.Prefix + Guid.NewGuid().ToString("N");
        var directory = Directory.CreateDirectory(Path.Combine(git.Directory, name));
        try
        {
            var paths = new StringBuilder();
            for (var i = 0; i < contents.Count; i++)
            {
                await File.WriteAllBytesAsync(Path.Combine(directory.FullName, $"{i}"), contents[i], cancellationToken);
                paths.Append(name).Append('/').Append(i).Append('\n');
            }
            var command = new GitCommand("hash-object", "-w", "-t", "blob", "--no-filters", "--stdin-paths") { Input = Encoding.UTF8.GetBytes(paths.ToString()) };
            return (await RunAsync(command, cancellationToken)).Split('\n');
        }
        finally
        {
            GitScratch.Remove(directory);
        }
    }

    private GitCommand CommitTree(string tree, string? parent, (string Author, string Message) text)
    {
        var date = string.Create(CultureInfo.InvariantCulture, $"@{git.Time.GetUtcNow().ToUnixTimeSeconds()} +0000");
        var author = string.Concat(GitNames.Shown(text.Author).Where(c => c is not ('<' or '>')));
        return new GitCommand(parent is null ? ["commit-tree", tree] : ["commit-tree", tree, "-p", parent])
        {
            Input = Encoding.UTF8.GetBytes(text.Message.Replace("\0", "", StringComparison.Ordinal).TrimEnd() + "\n"),
            Environment = new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["GIT_AUTHOR_NAME"] = author.Length == 0 ? "unknown" : author,
                ["GIT_AUTHOR_EMAIL"] = Mail,
                ["GIT_AUTHOR_DATE"] = date,
                ["GIT_COMMITTER_NAME"] = "Lockstep",
                ["GIT_COMMITTER_EMAIL"] = Mail,
                ["GIT_COMMITTER_DATE"] = date,
            },
        };
    }

    /// <summary>Moves the branch if it still stands where the caller saw it. This is what makes the commit count; it is on disk when git answers.</summary>
    private async Task MoveAsync(string branch, string? parent, string commit, CancellationToken cancellationToken)
    {
        var old = parent ?? new string('0', commit.Length);
        var result = await git.RunAsync(new GitCommand("update-ref", GitNames.BranchRef(branch), commit, old), cancellationToken);
        if (result.Succeeded)
            return;
        var now = await git.RunAsync(new GitCommand("rev-parse", "--verify", "--quiet", GitNames.BranchRef(branch)), cancellationToken);
        var there = now.Succeeded ? now.Text : null;
        if (there == parent)
            throw git.Failure($"the branch {branch} cannot be moved", result);
        throw new LockstepException(
            ErrorCode.Conflict,
            $"the branch {branch} {(there is null ? "does not exist any more" : $"is at {there} now")}; read it again and repeat the change on what is there");
    }

    private async Task<string> RunAsync(GitCommand command, CancellationToken cancellationToken) =>
        (await ResultAsync(command, cancellationToken)).Text;

    private Task<GitResult> ResultAsync(GitCommand command, CancellationToken cancellationToken) => git.RunAsync("the commit cannot be made", command, cancellationToken);

    private static void Check(string? parent, IReadOnlyDictionary<string, byte[]?> files)
    {
        if (parent is not null && !GitNames.IsObjectId(parent))
            throw new LockstepException(ErrorCode.BadRequest, "the parent must be a full commit id");
        if (files.Keys.FirstOrDefault(path => !GitNames.IsFilePath(path)) is { } bad)
        {
            throw new LockstepException(
                ErrorCode.BadRequest, $"'{GitNames.Shown(bad)}' cannot be the path of a file: it must be relative, with no empty, '.', '..' or '.git…' part and no control characters");
        }
        var kept = files.Where(f => f.Value is not null).Select(f => f.Key).ToHashSet(StringComparer.Ordinal);
        if (kept.SelectMany(Parents).FirstOrDefault(kept.Contains) is { } both)
            throw new LockstepException(ErrorCode.BadRequest, $"'{GitNames.Shown(both)}' cannot be a file and a directory at once");
    }

    // What is in the way of a file would be replaced by it without a word: a whole directory by a file, a file by a directory.
    private async Task CheckRoomAsync(string parent, IReadOnlyDictionary<string, byte[]?> files, CancellationToken cancellationToken)
    {
        foreach (var some in files.Keys.SelectMany(path => Parents(path).Prepend(path)).Distinct(StringComparer.Ordinal).Chunk(PathsPerCommand))
        {
            var command = new GitCommand(["ls-tree", "-t", "-z", "--full-tree", parent, "--", .. some]) { Environment = GitReader.Literal };
            var result = await ResultAsync(command, cancellationToken);
            var asked = some.ToHashSet(StringComparer.Ordinal);
            // What stands beside them in directories of theirs is listed too.
            foreach (var (path, kind) in GitTrees.ParseKinds(result.Output.Span).Where(e => asked.Contains(e.Path)))
            {
                var isWritten = files.ContainsKey(path);
                if (isWritten && kind != "a file")
                    throw new LockstepException(ErrorCode.Conflict, $"'{path}' is {kind} in the repository and no file; choose another path, or remove it with git first");
                if (!isWritten && kind != "a directory")
                    throw new LockstepException(ErrorCode.Conflict, $"'{path}' is {kind} in the repository, so that nothing can lie below it; choose another path, or remove it first");
            }
        }
    }

    private static IEnumerable<string> Parents(string path)
    {
        for (var slash = path.LastIndexOf('/'); slash > 0; slash = path.LastIndexOf('/', slash - 1)) yield return path[..slash];
    }
}
