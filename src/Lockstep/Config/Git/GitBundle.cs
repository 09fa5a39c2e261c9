using System.Diagnostics;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>A whole repository in one piece: all refs, kept commits too, and every object they reach.</summary>
internal static class GitBundle
{
    private const int PartBytes = 64 * 1024;

    public static async Task CreateAsync(GitProcess git, Action<ReadOnlyMemory<byte>> part, CancellationToken cancellationToken)
    {
        const string What = "the repository cannot be put into a backup";
        // git makes no empty bundle.
        if ((await git.RunAsync(What, new GitCommand("for-each-ref", "--count=1"), cancellationToken)).Output.IsEmpty) return;
        using var limit = new CancellationTokenSource(git.Limits.Maintenance, git.Time);
        using var any = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        using var process = git.Start(new GitCommand("bundle", "create", "-", "--all"));
        try
        {
            process.StandardInput.Close();
            var error = ErrorAsync(process, any.Token);
            var buffer = new byte[PartBytes];
            while (await process.StandardOutput.BaseStream.ReadAsync(buffer, any.Token) is var count and > 0) part(buffer.AsMemory(0, count));
            var text = await error;
            await process.WaitForExitAsync(any.Token);
            if (process.ExitCode != 0) throw git.Failure(What, new GitResult(GitOutcome.Exited, process.ExitCode, default, text));
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw git.Failure(What, new GitResult(GitOutcome.TimedOut, -1, default, ""));
        }
        finally
        {
            GitProcess.EndTree(process);
        }
    }

    /// <summary>Makes a repository of a bundle, checks it, and sets the refs that <paramref name="refs"/> names to where it says: the bundle may be of a moment later.</summary>
    /// <exception cref="LockstepException">Something is missing or damaged.</exception>
    public static async Task UnpackAsync(
        GitProcess git, string branch, string? bundle, IReadOnlyDictionary<string, string> refs, CancellationToken cancellationToken)
    {
        const string What = "the repository in the backup cannot be used";
        await GitStore.InitAsync(git, branch, cancellationToken);
        if (bundle is null) return;
        var unpacked = await git.RunAsync(What, new GitCommand("bundle", "unbundle", bundle) { Timeout = git.Limits.Maintenance }, cancellationToken);
        var updates = new StringBuilder();
        foreach (var line in unpacked.Text.Split('\n'))
            if (line.Split(' ', 2) is [var id, var name] && name.StartsWith("refs/", StringComparison.Ordinal)) updates.Append("update ").Append(name).Append(' ').Append(id).Append('\n');
        await UpdateAsync(git, updates, cancellationToken);

        var listed = await git.RunAsync(What, new GitCommand("for-each-ref", "--format=%(refname) %(objectname) %(*objectname)"), cancellationToken);
        var there = listed.Text.Split('\n').Select(l => l.Split(' ')).Where(l => l.Length >= 2).ToDictionary(l => l[0], l => l[1..], StringComparer.Ordinal);
        updates.Clear();
        foreach (var (name, commit) in refs)
        {
            GitReader.RequireId(commit);
            // A tag of a commit is named by that commit.
            if (!there.TryGetValue(name, out var ids) || !ids.Contains(commit, StringComparer.Ordinal)) updates.Append("update ").Append(name).Append(' ').Append(commit).Append('\n');
        }
        await UpdateAsync(git, updates, cancellationToken);
        // That each object is what its id says was checked as it was taken up; how it is written is not the restore's to judge: it may be as old as Git.
        await git.RunAsync(What, new GitCommand("fsck", "--connectivity-only", "--no-dangling", "--no-progress") { Timeout = git.Limits.Maintenance }, cancellationToken);
    }

    private static Task UpdateAsync(GitProcess git, StringBuilder updates, CancellationToken cancellationToken) => updates.Length == 0
        ? Task.CompletedTask
        : git.RunAsync("the refs in the backup cannot be restored", new GitCommand("update-ref", "--stdin") { Input = Encoding.UTF8.GetBytes(updates.ToString()) }, cancellationToken);

    private static async Task<string> ErrorAsync(Process process, CancellationToken cancellationToken)
    {
        var kept = new byte[4096];
        var rest = new byte[4096];
        var stream = process.StandardError.BaseStream;
        var length = await stream.ReadAtLeastAsync(kept, kept.Length, throwOnEndOfStream: false, cancellationToken);
        while (await stream.ReadAsync(rest, cancellationToken) > 0)
        {
            // Only its beginning is told.
        }
        return GitProcess.Scrub(kept.AsMemory(0, length));
    }
}
