using Lockstep.Client;
using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

/// <summary>
/// The bare copy of a remote: all its branches and tags under their own names, and what <c>refs/lockstep/keep</c> holds beside them. A mirror
/// appears under its final name only after its first fetch has succeeded.
/// </summary>
internal sealed class GitMirror(GitProcess git, GitRemote remote, ILogger logger)
{
    /// <summary>The file that says what the mirror is a copy of.</summary>
    private string Origin => Path.Combine(git.Directory, "lockstep-origin");

    /// <summary>
    /// Opens the mirror, making it first when there is none. Answers why the remote could not be fetched, null when it could; throws when there is
    /// nothing of this remote to serve instead.
    /// </summary>
    public async Task<LockstepException?> OpenAsync(string branch, CancellationToken cancellationToken)
    {
        if (!Directory.Exists(git.Directory))
        {
            await MakeAsync(branch, cancellationToken);
            return null;
        }

        await GitStore.CheckAsync(git, cancellationToken);
        GitStore.RemoveLeftovers(git, GitStore.LeftoverAge);
        GitScratch.RemoveLeftovers(git);
        WriteTrust(git.Directory);
        var same = File.Exists(Origin) && await File.ReadAllTextAsync(Origin, cancellationToken) == remote.Url;
        try
        {
            remote.CheckBeforeUse(logger.GitWarning);
            await FetchAsync(same ? git.Limits.StartFetch : git.Limits.FirstFetch, cancellationToken);
        }
        catch (LockstepException e) when (same)
        {
            return e;
        }

        if (!same)
            await WriteOriginAsync(git.Directory, cancellationToken);
        return null;
    }

    /// <summary>When the remote last answered.</summary>
    public DateTimeOffset FetchedAt => new(File.GetLastWriteTimeUtc(Origin));

    /// <summary>Fetches; throws when that fails, with the mirror as usable as before.</summary>
    public async Task FetchAsync(CancellationToken cancellationToken)
    {
        remote.CheckBeforeUse(_ => { });
        await FetchAsync(git.Limits.Fetch, cancellationToken);
        Touch(git.Directory);
    }

    private async Task FetchAsync(TimeSpan timeout, CancellationToken cancellationToken, params (string Key, string Value)[] config)
    {
        var before = GitStore.ObjectBytes(git.Directory);
        var command = new GitCommand(
            "fetch", "--quiet", "--prune", "--no-tags", "--force", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
            "--end-of-options", remote.Url, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
        {
            UsesRemote = true,
            Config = config,
            Timeout = timeout,
            StopWhen = () => GitStore.ObjectBytes(git.Directory) - before > git.Limits.FetchBytes,
        };
        GitResult? result = null;
        try
        {
            result = await git.RunAsync(command, cancellationToken);
        }
        finally
        {
            // A fetch that was ended leaves half a pack and locks; nobody else writes here.
            if (result is not { Outcome: GitOutcome.Exited })
                GitStore.RemoveLeftovers(git, TimeSpan.Zero);
        }

        if (!result.Succeeded)
            throw new LockstepException(ErrorCode.Unavailable, Explain(result, timeout));
    }

    /// <summary>Pushes a commit that <paramref name="there"/> has, whose parent is where the mirror has the branch. The mirror itself stays as it is.</summary>
    public async Task PushAsync(GitProcess there, string branch, string parent, string commit, CancellationToken cancellationToken)
    {
        try
        {
            remote.CheckBeforeUse(_ => { });
        }
        catch (LockstepException e) when (e.Code != ErrorCode.Unavailable)
        {
            // What is wrong with the remote is no mistake of the caller's.
            throw new LockstepException(ErrorCode.Unavailable, e.Message, e);
        }

        var name = GitNames.BranchRef(branch);
        // The lease makes it a conflict, too, if the remote went back meanwhile.
        var command = new GitCommand(
            "push", "--porcelain", "--no-verify", $"--force-with-lease={name}:{parent}", "--end-of-options", remote.Url, $"{commit}:{name}")
        {
            UsesRemote = true,
            Timeout = git.Limits.Fetch,
        };
        var result = await there.RunAsync(command, cancellationToken);
        if (result.Succeeded)
            return;
        // gitprotocol: "!<tab>FROM:TO<tab>[rejected] (reason)", on standard output.
        var line = result.Text.Split('\n').FirstOrDefault(l => l.StartsWith("!\t", StringComparison.Ordinal));
        if (line is null)
            throw new LockstepException(ErrorCode.Unavailable, Explain(result, git.Limits.Fetch, "push to"));
        if (!line.Contains("[remote rejected]", StringComparison.Ordinal))
        {
            throw new LockstepException(
                ErrorCode.Conflict, $"the branch {branch} of the remote has moved: somebody else was faster, and nothing has changed; read the file again and repeat the change on what is there");
        }

        var reason = GitNames.Shown(line[(line.LastIndexOf('\t') + 1)..]);
        throw new LockstepException(ErrorCode.Conflict, $"the remote refuses the commit: {reason}; {result.Error}. Nothing has changed");
    }

    private async Task MakeAsync(string branch, CancellationToken cancellationToken)
    {
        remote.CheckBeforeUse(logger.GitWarning);
        var making = git.Directory + ".new";
        if (Directory.Exists(making))
            Directory.Delete(making, recursive: true);
        var there = new GitProcess(making, remote, git.Limits, git.Time);
        try
        {
            await GitStore.InitAsync(there, branch, cancellationToken);
            WriteTrust(making);
            // Thousands of refs need not reach the disk one by one: they are packed below, and until then the mirror does not count.
            await new GitMirror(there, remote, logger).FetchAsync(git.Limits.FirstFetch, cancellationToken, ("core.fsync", "all,-reference"));
            await there.RunAsync("the refs of the new mirror cannot be packed", new GitCommand("pack-refs", "--all"), cancellationToken);
            await WriteOriginAsync(making, cancellationToken);
            Directory.Move(making, git.Directory);
        }
        finally
        {
            if (Directory.Exists(making))
                Directory.Delete(making, recursive: true);
        }
    }

    private async Task WriteOriginAsync(string directory, CancellationToken cancellationToken)
    {
        var path = Path.Combine(directory, "lockstep-origin");
        await File.WriteAllTextAsync(path + ".new", remote.Url, cancellationToken);
        File.Move(path + ".new", path, overwrite: true);
        Touch(directory);
    }

    // Its time is that of the last good fetch, so that the age of what is stale outlives a restart.
    private void Touch(string directory) => File.SetLastWriteTimeUtc(Path.Combine(directory, "lockstep-origin"), git.Time.GetUtcNow().UtcDateTime);

    private void WriteTrust(string directory)
    {
        if (remote.Transport == GitTransport.Local)
            File.WriteAllText(GitRemote.TrustFile(directory), "[safe]\n\tdirectory = *\n");
    }

    private string Explain(GitResult result, TimeSpan timeout, string what = "fetch")
    {
        var reason = result.Outcome switch
        {
            GitOutcome.TimedOut => $"the remote did not finish within {timeout.TotalSeconds:0} s",
            GitOutcome.Stopped => $"it would grow the mirror by more than {git.Limits.FetchBytes / (1024 * 1024)} MiB",
            _ => result.Reason,
        };
        var error = result.Error;
        var hint = Says("could not read Username", "Authentication failed", "error: 401", "error: 403", "could not read Password")
                ? "set config.credentials (username, passwordFile or passwordEnv), or check that they are right"
            : Says("SSL certificate problem", "server certificate verification failed", "unable to get local issuer certificate")
                ? "name the authority that signed the remote's certificate in the server's environment: GIT_SSL_CAINFO=/path/to/authority.pem"
            : Says("Host key verification failed") ? "add the host's key to known_hosts (config.credentials.knownHostsFile)"
            : Says("Permission denied (") ? "set config.credentials.sshKeyFile to a key that the host accepts"
            : Says("UNPROTECTED PRIVATE KEY") ? "make the key readable by its owner only (chmod 600)"
            : Says("mismatched algorithms") ? "its object format differs from the mirror's; repositories with SHA-1 ids are supported"
            : Says("not found", "does not appear to be a git repository", "does not exist") ? "check config.url, and that config.credentials may read it"
            : result.Outcome == GitOutcome.TimedOut ? "check that the address is right and that the remote is up"
            : "check config.url and that the remote is up";
        return $"cannot {what} {remote.Url}: {reason}; {hint}";

        bool Says(params ReadOnlySpan<string> texts)
        {
            foreach (var text in texts)
            {
                if (error.Contains(text, StringComparison.OrdinalIgnoreCase))
                    return true;
            }

            return false;
        }
    }
}
