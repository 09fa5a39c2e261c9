using System.Text;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;

namespace Lockstep.Cli;

/// <summary>A developer's clone of the configuration repository.</summary>
internal sealed class GitClone
{
    /// <summary>What one plan may hold, in bytes of the files.</summary>
    private const long MaxBytes = 1024 * 1024;

    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly string _root;
    private readonly GitProcess _git;

    private GitClone(string root, string gitDirectory)
    {
        _root = root;
        _git = new GitProcess(gitDirectory, null, GitLimits.Default, TimeProvider.System);
    }

    /// <summary>The clone that <paramref name="directory"/> lies in.</summary>
    /// <exception cref="LockstepException">not-found when it lies in none.</exception>
    public static GitClone Open(string directory)
    {
        for (var at = new DirectoryInfo(Path.GetFullPath(directory)); at is not null; at = at.Parent)
        {
            var mark = Path.Combine(at.FullName, ".git");
            if (Directory.Exists(mark)) return new GitClone(at.FullName, mark);
            // A working tree beside others has a file that names its place.
            if (File.Exists(mark) && BoundedFile.ReadText(mark, 4096, "a .git file").Trim() is var line && line.StartsWith("gitdir: ", StringComparison.Ordinal))
                return new GitClone(at.FullName, Path.GetFullPath(line["gitdir: ".Length..], at.FullName));
        }
        throw new LockstepException(ErrorCode.NotFound, $"'{directory}' is in no Git clone; go to your clone of the configuration repository, or name it");
    }

    /// <summary>
    /// The config files in which the working tree differs from <paramref name="commit"/>, committed or not; null for those that are gone. What that commit has gained
    /// since the two parted is no difference. Also those of them that Git does not know yet.
    /// </summary>
    /// <exception cref="LockstepException">not-found when the clone does not have the commit.</exception>
    public async Task<(IReadOnlyDictionary<string, string?> Files, IReadOnlyList<string> Untracked)> ChangesSinceAsync(string? commit, CancellationToken cancellationToken)
    {
        var changes = new Dictionary<string, string?>(StringComparer.Ordinal);
        var bytes = 0L;
        var (tracked, untracked) = await PathsAsync(commit, cancellationToken);
        foreach (var path in tracked.Concat(untracked).Where(ConfigTree.IsConfigFile).Distinct(StringComparer.Ordinal))
        {
            var file = new FileInfo(Path.Combine(_root, path));
            // A link is no file to a commit's readers.
            var there = file.Exists && !file.Attributes.HasFlag(FileAttributes.ReparsePoint);
            if (there && (bytes += file.Length) > MaxBytes)
                throw new LockstepException(ErrorCode.TooLarge, $"the changed files are over {MaxBytes:N0} bytes together; plan them in smaller steps");
            changes[path] = there ? Text(path, await File.ReadAllBytesAsync(file.FullName, cancellationToken)) : null;
        }
        return (changes, [.. untracked.Where(ConfigTree.IsConfigFile).Order(StringComparer.Ordinal)]);
    }

    private async Task<(IEnumerable<string> Tracked, IEnumerable<string> Untracked)> PathsAsync(string? commit, CancellationToken cancellationToken)
    {
        var untracked = await RunAsync("its files can't be listed", cancellationToken, "ls-files", "-z", "--full-name", "--others", "--exclude-standard", "--", ":/");
        var parted = commit is null ? null : await PartedAsync(commit, cancellationToken);
        var tracked = parted is null
            ? await RunAsync("its files can't be listed", cancellationToken, "ls-files", "-z", "--full-name", "--", ":/")
            : await RunAsync("its changes can't be listed", cancellationToken, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-textconv", parted, "--");
        return (tracked, untracked);
    }

    /// <summary>Where the clone and the server's branch parted; null when they have nothing in common.</summary>
    private async Task<string?> PartedAsync(string commit, CancellationToken cancellationToken)
    {
        if (!GitNames.IsObjectId(commit) || !(await _git.RunAsync(Command("cat-file", "-e", commit + "^{commit}"), cancellationToken)).Succeeded)
            throw new LockstepException(ErrorCode.NotFound, $"this clone does not have the commit {commit} that the server stands at; fetch it (git fetch), and see that this is a clone of the server's repository");
        if (!(await _git.RunAsync(Command("rev-parse", "--verify", "--quiet", "HEAD"), cancellationToken)).Succeeded) return null;
        var result = await _git.RunAsync(Command("merge-base", "HEAD", commit), cancellationToken);
        return result.Succeeded ? result.Text.Split('\n')[0] : null;
    }

    private async Task<IEnumerable<string>> RunAsync(string what, CancellationToken cancellationToken, params string[] arguments)
    {
        var result = await _git.RunAsync(Command(arguments), cancellationToken);
        return result.Succeeded
            ? s_strict.GetString(result.Output.Span).Split('\0', StringSplitOptions.RemoveEmptyEntries)
            : throw new LockstepException(ErrorCode.Unavailable, $"{what}: {result.Reason}");
    }

    private GitCommand Command(params string[] arguments) => new(["-C", _root, .. arguments]) { AsUser = true, Config = [("core.quotePath", "false")] };

    private static string Text(string path, byte[] content)
    {
        try
        {
            return s_strict.GetString(content);
        }
        catch (DecoderFallbackException) when (path.EndsWith(".properties", StringComparison.Ordinal))
        {
            return Encoding.Latin1.GetString(content);
        }
        catch (DecoderFallbackException)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"{path} is not valid UTF-8; save it as UTF-8");
        }
    }
}
