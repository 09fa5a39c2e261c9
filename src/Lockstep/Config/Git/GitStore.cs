using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>A bare repository's directory: made, checked, tidied up after a run that was cut short.</summary>
internal static class GitStore
{
    /// <summary>A lock or half-written file this old when the repository is opened belongs to no running git: a power cut left it.</summary>
    public static readonly TimeSpan LeftoverAge = TimeSpan.FromSeconds(10);

    public static async Task InitAsync(GitProcess git, string branch, CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(git.Directory);
        else
            Directory.CreateDirectory(git.Directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        var init = new GitCommand("init", "--quiet", "--bare", "--template=", "--initial-branch=" + branch);
        await git.RunAsync($"the repository {git.Directory} cannot be made", init, cancellationToken);
    }

    public static async Task CheckAsync(GitProcess git, CancellationToken cancellationToken)
    {
        var result = await git.RunAsync(new GitCommand("rev-parse", "--is-bare-repository"), cancellationToken);
        if (!result.Succeeded)
        {
            throw new LockstepException(
                ErrorCode.Unavailable,
                $"{git.Directory} cannot be used as a Git repository: {result.Reason}; restore it from a backup, or move it away to have it made anew");
        }
    }

    /// <summary>What the objects take on disk, half-received packs too.</summary>
    public static long ObjectBytes(string gitDirectory)
    {
        var sum = 0L;
        try
        {
            foreach (var file in new DirectoryInfo(Path.Combine(gitDirectory, "objects")).EnumerateFiles("*", SearchOption.AllDirectories))
            {
                // Git renames files while we look.
                if (file.Exists)
                    sum += file.Length;
            }
        }
        catch (IOException)
        {
        }

        return sum;
    }

    /// <summary>
    /// Removes locks and half-written files that are at least that old. With no age, after a fetch was ended: then refs that are ours are left alone,
    /// as commits may be being kept right now.
    /// </summary>
    public static void RemoveLeftovers(GitProcess git, TimeSpan age)
    {
        var ours = Path.Combine(git.Directory, "refs", "lockstep");
        var before = (git.Time.GetUtcNow() - age).UtcDateTime;
        try
        {
            foreach (var file in new DirectoryInfo(git.Directory).EnumerateFiles("*", SearchOption.AllDirectories).Where(IsLeftover))
            {
                if (file.LastWriteTimeUtc <= before && (age > TimeSpan.Zero || !file.FullName.StartsWith(ours, StringComparison.Ordinal)))
                    file.Delete();
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What is in the way stays; git says so if it minds.
        }
    }

    private static bool IsLeftover(FileInfo file) =>
        file.Name.EndsWith(".lock", StringComparison.Ordinal) || file.Name.StartsWith("tmp_", StringComparison.Ordinal)
        || file.Name.StartsWith("lockstep-index-", StringComparison.Ordinal);
}
