using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

/// <summary>Commits that are made to be looked at: their objects lie in a directory of their own, which goes when this does. The repository is not changed.</summary>
internal sealed class GitScratch : IAsyncDisposable
{
    private const string Prefix = "lockstep-objects-";

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
        var before = (git.Time.GetUtcNow() - GitStore.LeftoverAge).UtcDateTime;
        foreach (var directory in new DirectoryInfo(Path.Combine(git.Directory, "objects")).EnumerateDirectories("tmp_objdir-*").Where(d => d.LastWriteTimeUtc <= before).ToList())
            Remove(directory);
    }

    private static void Remove(DirectoryInfo directory)
    {
        try
        {
            // Git makes its objects read-only; that does not keep their owner from deleting them.
            directory.Delete(recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start tries again.
        }
    }
}
