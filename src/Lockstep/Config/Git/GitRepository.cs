using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Config.Git;

/// <summary>
/// The repository that config comes from: the embedded one, or a mirror of a remote. Fetches and commits are done one at a time; all else goes on
/// beside them.
/// </summary>
internal sealed class GitRepository : IAsyncDisposable
{
    // How long who may do without waits for others who move refs.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly SemaphoreSlim _write = new(1, 1);
    private readonly GitProcess _git;
    private readonly GitMirror? _mirror;
    private readonly string _branch;
    private readonly ILogger _logger;
    private ImmutableDictionary<string, string?> _peeled = ImmutableDictionary.Create<string, string?>(StringComparer.Ordinal);
    private (int Skipped, int Unreadable, string? First) _warned;

    private GitRepository(GitProcess git, GitMirror? mirror, string branch, ILogger logger)
    {
        _git = git;
        _mirror = mirror;
        _branch = branch;
        _logger = logger;
        var limits = git.Limits;
        (Fetches, Pushes) = (new GitSlots(limits.FetchesAtOnce, limits.PerToken, limits.Turn), new GitSlots(limits.PushesAtOnce, limits.PerToken, limits.Turn));
        Reader = new GitReader(git, logger);
    }

    /// <summary>Clients that clone or fetch.</summary>
    public GitSlots Fetches { get; }

    /// <summary>Clients that push; those who fetch are not in their way.</summary>
    public GitSlots Pushes { get; }

    /// <summary>Reads what the repository holds.</summary>
    public GitReader Reader { get; }

    public GitObjects Objects => Reader.Objects;

    /// <summary>The bare repository on disk.</summary>
    public string Directory => _git.Directory;

    /// <summary>Whether it is our own: written by us, never fetched.</summary>
    public bool IsEmbedded => _mirror is null;

    /// <summary>Why the remote could not be fetched when the repository was opened; null when it could. What the mirror holds is stale then.</summary>
    public LockstepException? OpenFailure { get; private init; }

    /// <summary>When the remote last answered; null for the embedded repository.</summary>
    public DateTimeOffset? FetchedAt => _mirror?.FetchedAt;

    /// <summary>
    /// Opens the embedded repository (<c>config.url</c> null; made when missing) or the mirror of the remote. Throws, with the way out, when there is
    /// nothing to serve: a remote that cannot be fetched the first time, branches without the tracked one (unless <paramref name="branchMayBeGone"/>, because
    /// what it stood at is known, or there is a master in place of a main and <paramref name="masterFallback"/>), a damaged repository.
    /// </summary>
    public static async Task<GitRepository> OpenAsync(
        ConfigOptions options, string dataDirectory, (ILogger Logger, TimeProvider Time, GitLimits Limits) parts, CancellationToken cancellationToken,
        bool branchMayBeGone = false, bool masterFallback = false)
    {
        if (!GitNames.IsBranchName(options.Branch))
            throw new LockstepException(ErrorCode.BadRequest, $"config.branch: '{GitNames.Shown(options.Branch)}' cannot be the name of a branch");
        var data = Path.GetFullPath(dataDirectory);
        System.IO.Directory.CreateDirectory(data);
        await GitVersion.CheckAsync(new GitProcess(data, null, parts.Limits, parts.Time), cancellationToken);

        var remote = options.Url is null ? null : GitRemote.Parse(options.Url, options.Credentials);
        var git = new GitProcess(Path.Combine(data, remote is null ? "config.git" : "mirror.git"), remote, parts.Limits, parts.Time);
        var mirror = remote is null ? null : new GitMirror(git, remote, parts.Logger);
        LockstepException? failure = null;
        if (mirror is null)
            await OpenEmbeddedAsync(git, options.Branch, cancellationToken);
        else
            failure = await mirror.OpenAsync(options.Branch, cancellationToken);
        if (failure is not null)
            parts.Logger.ServingMirror(failure.Message);

        var repository = new GitRepository(git, mirror, options.Branch, parts.Logger) { OpenFailure = failure };
        try
        {
            if (!branchMayBeGone) await repository.CheckBranchAsync(remote?.Url ?? git.Directory, masterFallback, cancellationToken);
            return repository;
        }
        catch
        {
            await repository.DisposeAsync();
            throw;
        }
    }

    /// <summary>Brings the mirror up to date, bounded in time and size; nothing to do for the embedded repository. Throws when the remote fails.</summary>
    public async Task FetchAsync(CancellationToken cancellationToken)
    {
        if (_mirror is null)
            return;
        using var held = await LockAsync(cancellationToken);
        await _mirror.FetchAsync(cancellationToken);
    }

    /// <summary>
    /// <c>refs/heads/…</c> and <c>refs/tags/…</c> → commit id. Tags are peeled; what names no commit that can be read is left out. Beyond the limit the
    /// tracked branch comes first, then branches, then tags, by name.
    /// </summary>
    public async Task<ImmutableDictionary<string, string>> RefsAsync(CancellationToken cancellationToken)
    {
        var command = new GitCommand("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags");
        var result = await _git.RunAsync($"the refs of {Directory} cannot be read", command, cancellationToken);
        var unreadable = new List<string>();
        var listed = ParseRefs(result.Output, unreadable);
        var tracked = GitNames.BranchRef(_branch);
        var total = RefCount = listed.Count;
        if (total > _git.Limits.Refs)
            listed = [.. listed.OrderByDescending(r => r.Name == tracked).Take(_git.Limits.Refs)];

        // Most refs stand where they stood: only new ids are looked up. A ref that could not be read is looked up again, as a fetch may bring the object.
        var known = _peeled;
        var asked = listed.Select(r => r.Id).Distinct(StringComparer.Ordinal).Where(id => known.GetValueOrDefault(id) is null).ToArray();
        var answers = await Task.WhenAll(asked.Select(id => Objects.PeelAsync(id, cancellationToken)));
        var peeled = asked.Zip(answers).ToDictionary(a => a.First, a => a.Second, StringComparer.Ordinal);

        var refs = ImmutableDictionary.CreateBuilder<string, string>(StringComparer.Ordinal);
        var next = ImmutableDictionary.CreateBuilder<string, string?>(StringComparer.Ordinal);
        foreach (var (name, id) in listed)
        {
            var commit = peeled.TryGetValue(id, out var found) ? found : known[id];
            next[id] = commit;
            if (commit is null)
                unreadable.Add(name);
            else
                refs[name] = commit;
        }

        _peeled = next.ToImmutable();
        WarnOfRefs(total - listed.Count, total, unreadable);
        return refs.ToImmutable();
    }

    /// <summary>Keeps commits, with their history, from ever being dropped. On disk when it returns; kept ones cost nothing.</summary>
    public async Task KeepAsync(IEnumerable<string> commits, CancellationToken cancellationToken)
    {
        var input = new StringBuilder();
        foreach (var commit in commits.Distinct(StringComparer.Ordinal))
        {
            GitReader.RequireId(commit);
            input.Append("update refs/lockstep/keep/").Append(commit).Append(' ').Append(commit).Append('\n');
        }

        if (input.Length == 0)
            return;
        var command = new GitCommand("update-ref", "--stdin") { Input = Encoding.ASCII.GetBytes(input.ToString()) };
        await _git.RunAsync("the commits of a release cannot be kept", command, cancellationToken);
    }

    /// <summary>Who made the commit, when, and its subject; null when it cannot be read.</summary>
    public async Task<GitCommitInfo?> DescribeAsync(string commit, CancellationToken cancellationToken)
    {
        GitReader.RequireId(commit);
        return await Objects.DescribeAsync(commit, cancellationToken);
    }

    /// <summary>
    /// Makes one commit on a branch of the embedded repository and answers its id. Null content removes a file.
    /// <paramref name="expectedParent"/> is where the caller saw the branch, null if it does not exist yet; when it stands elsewhere the call is a
    /// conflict and changes nothing. If no file differs, no commit is made and the parent is answered.
    /// </summary>
    public async Task<string> CommitAsync(
        string branch, string? expectedParent, IReadOnlyDictionary<string, byte[]?> files, string author, string message,
        CancellationToken cancellationToken)
    {
        if (_mirror is not null)
            throw new LockstepException(ErrorCode.Conflict, "config.url is set, so that the repository is written by its remote: push there");
        using var held = await LockAsync(cancellationToken);
        return await new GitCommits(_git).CommitAsync(branch, expectedParent, files, (author, message), cancellationToken);
    }

    /// <summary>How many branches and tags there were when <see cref="RefsAsync"/> looked last: also those that it leaves out.</summary>
    public int RefCount { get; private set; }

    /// <summary>What git may take.</summary>
    public GitLimits Limits => _git.Limits;

    /// <summary>Starts git for a client of ours, with its three streams redirected. The caller ends it.</summary>
    public Process Start(GitCommand command) => _git.Start(command);

    /// <summary>Waits until nobody else moves refs; until the result is disposed of, nobody else does.</summary>
    public async Task<IDisposable> LockAsync(CancellationToken cancellationToken)
    {
        await _write.WaitAsync(cancellationToken);
        return new Held(_write);
    }

    /// <summary>The same, but null when somebody does for long.</summary>
    public async Task<IDisposable?> LockBrieflyAsync(CancellationToken cancellationToken) =>
        await _write.WaitAsync(s_patience, cancellationToken) ? new Held(_write) : null;

    /// <summary>A place for commits that are made to be looked at.</summary>
    public GitScratch Scratch() => new(_git, _logger);

    /// <summary>Reads commits whose objects lie in <paramref name="objectDirectory"/>, inside the repository's own, while git receives them.</summary>
    public GitReader ReaderOf(string objectDirectory) => new(_git.With(objectDirectory), _logger);

    /// <summary>
    /// Makes a commit count that was made in <paramref name="scratch"/>, and answers where the branch stands then. In the embedded repository it is made once more, of the
    /// same files; a remote is given it, and it is fetched back. The caller holds the lock (<see cref="LockAsync"/>).
    /// </summary>
    /// <exception cref="LockstepException">conflict when the branch stands elsewhere; unavailable when the remote does not answer.</exception>
    public async Task<string> CommitHeldAsync(
        GitScratch scratch, (string Branch, string? Parent, string Commit) made, IReadOnlyDictionary<string, byte[]?> files, (string Author, string Message) text,
        CancellationToken cancellationToken)
    {
        if (_mirror is null) return await new GitCommits(_git).CommitAsync(made.Branch, made.Parent, files, text, cancellationToken);
        await _mirror.PushAsync(scratch.Git, made.Branch, made.Parent!, made.Commit, cancellationToken);
        try
        {
            await _mirror.FetchAsync(CancellationToken.None);
        }
        catch (LockstepException e)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the remote has taken commit {made.Commit}; it will be live as soon as it can be fetched: {e.Message}", e);
        }
        return made.Commit;
    }

    /// <summary>
    /// Packs objects and refs when many have gathered, and drops what nothing has named for two weeks. For a timer, about once a day; fetches, commits
    /// and reads go on beside it.
    /// </summary>
    public async Task MaintainAsync(CancellationToken cancellationToken)
    {
        // No push takes that long.
        GitScratch.RemoveQuarantines(_git, 2 * _git.Limits.Serve);
        var command = new GitCommand("gc", "--auto", "--quiet")
        {
            Config = [("gc.auto", "6700"), ("gc.pruneExpire", "2.weeks.ago")],
            Timeout = _git.Limits.Maintenance,
        };
        await _git.RunAsync($"the repository {Directory} cannot be packed", command, cancellationToken);
    }

    /// <summary>All refs and what they name, in one piece; nothing when there are none.</summary>
    public Task BundleAsync(Action<ReadOnlyMemory<byte>> part, CancellationToken cancellationToken) => GitBundle.CreateAsync(_git, part, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await Reader.DisposeAsync();
        _write.Dispose();
        Fetches.Dispose();
        Pushes.Dispose();
    }

    private static async Task OpenEmbeddedAsync(GitProcess git, string branch, CancellationToken cancellationToken)
    {
        if (!System.IO.Directory.Exists(git.Directory))
        {
            var making = git.Directory + ".new";
            if (System.IO.Directory.Exists(making))
                System.IO.Directory.Delete(making, recursive: true);
            await GitStore.InitAsync(new GitProcess(making, null, git.Limits, git.Time), branch, cancellationToken);
            System.IO.Directory.Move(making, git.Directory);
        }

        await GitStore.CheckAsync(git, cancellationToken);
        GitStore.RemoveLeftovers(git, GitStore.LeftoverAge);
        GitScratch.RemoveLeftovers(git);
    }

    private async Task CheckBranchAsync(string name, bool masterFallback, CancellationToken cancellationToken)
    {
        var refs = await RefsAsync(cancellationToken);
        if (refs.ContainsKey(GitNames.BranchRef(_branch)))
            return;
        var branches = refs.Keys.Where(r => r.StartsWith("refs/heads/", StringComparison.Ordinal)).Select(r => r["refs/heads/".Length..])
            .Order(StringComparer.Ordinal).ToArray();
        if (branches.Length == 0)
        {
            _logger.RepositoryEmpty(name, _branch);
            return;
        }

        if (masterFallback && _branch == "main" && branches.Contains("master", StringComparer.Ordinal))
        {
            _logger.OnlyMaster(name);
            return;
        }

        var some = string.Join(", ", branches.Take(10)) + (branches.Length > 10 ? $" and {branches.Length - 10} more" : "");
        throw new LockstepException(
            ErrorCode.NotFound, $"config.branch: {name} has no readable branch {_branch}; it has {some}. Set config.branch to one of them, or push {_branch}");
    }

    /// <summary>Refs are read every few seconds; what is wrong with them is told once.</summary>
    private void WarnOfRefs(int skipped, int total, List<string> unreadable)
    {
        var warning = (skipped, unreadable.Count, unreadable.FirstOrDefault());
        if (warning == _warned)
            return;
        _warned = warning;
        if (skipped > 0)
            _logger.RefsSkipped(skipped, total, _git.Limits.Refs);
        if (unreadable.Count > 0)
            _logger.RefsUnreadable(unreadable.Count, unreadable[0]);
    }

    private static List<(string Name, string Id)> ParseRefs(ReadOnlyMemory<byte> output, List<string> unreadable)
    {
        var refs = new List<(string Name, string Id)>();
        foreach (var range in MemoryExtensions.Split(output.Span, (byte)'\n'))
        {
            var line = output.Span[range];
            var space = line.IndexOf((byte)' ');
            if (space < 0)
                continue;
            if (GitNames.Utf8(line[(space + 1)..]) is { } name)
                refs.Add((name, Encoding.ASCII.GetString(line[..space])));
            else
                unreadable.Add(GitNames.Shown(Encoding.UTF8.GetString(line[(space + 1)..])));
        }

        return refs;
    }

    private sealed class Held(SemaphoreSlim semaphore) : IDisposable
    {
        private int _released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0) semaphore.Release();
        }
    }
}
