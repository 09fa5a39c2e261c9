using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

/// <summary>Commits that are made to be looked at: their objects lie in a directory of their own, which goes when this does. The repository is not changed.</summary>
internal sealed class GitScratch : IAsyncDisposable
{
    /// <summary>How directories begin that are removed at the next start.</summary>
    public const string Prefix = "lockstep-objects-";

    private readonly string _directory;

    public GitScratch(GitProcess git, ILogger logger)
    {
        _directory = Directory.CreateDirectory(Path.Combine(git.Directory, Prefix + Guid.NewGuid().ToString("N"))).FullName;
        Git = git.With(_directory);
        Reader = new GitReader(Git, logger);
    }

    /// <summary>Reads the repository's commits and those made here.</summary>
    public GitReader Reader { get; }

    /// <summary>Runs git so that it knows the commits made here.</summary>
    public GitProcess Git { get; }

    /// <summary>
    /// Makes a commit of <paramref name="files"/> over <paramref name="parent"/> (null: over nothing); null content removes a file. Answers the parent when no
    /// file differs.
    /// </summary>
    public Task<string> CommitAsync(string? parent, IReadOnlyDictionary<string, byte[]?> files, string author, string message, CancellationToken cancellationToken) =>
        new GitCommits(Git).MakeAsync(parent, files, (author, message), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await Reader.DisposeAsync();
        Remove(new DirectoryInfo(_directory));
    }

    /// <summary>Removes what a process that was killed left behind: our own directories, and those in which git received pushes.</summary>
    public static void RemoveLeftovers(GitProcess git)
    {
        foreach (var directory in new DirectoryInfo(git.Directory).EnumerateDirectories(Prefix + "*").ToList())
            Remove(directory);
        RemoveQuarantines(git, GitStore.LeftoverAge);
    }

    /// <summary>Removes the directories, at least that old, in which git received pushes.</summary>
    public static void RemoveQuarantines(GitProcess git, TimeSpan age)
    {
        var before = (git.Time.GetUtcNow() - age).UtcDateTime;
        foreach (var directory in new DirectoryInfo(ObjectsOf(git.Directory)).EnumerateDirectories().Where(d => IsQuarantine(d.Name) && d.LastWriteTimeUtc <= before).ToList())
            Remove(directory);
    }

    /// <summary>Where git receives the objects of a push beside the repository's own; null for any other directory than such a one of this repository.</summary>
    public static DirectoryInfo? QuarantineOf(string gitDirectory, string path)
    {
        var name = Path.GetFileName(path);
        return IsQuarantine(name) ? new DirectoryInfo(Path.Combine(ObjectsOf(gitDirectory), name)) : null;
    }

    public static void Remove(DirectoryInfo directory)
    {
        try
        {
            // Git makes its objects read-only; that does not keep their owner from deleting them.
            if (directory.Exists) directory.Delete(recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next sweep, or start, tries again.
        }
    }

    private static string ObjectsOf(string gitDirectory) => Path.Combine(gitDirectory, "objects");

    // The second form is that of older versions.
    private static bool IsQuarantine(string name) => name.StartsWith("tmp_objdir-", StringComparison.Ordinal) || name.StartsWith("incoming-", StringComparison.Ordinal);
}
