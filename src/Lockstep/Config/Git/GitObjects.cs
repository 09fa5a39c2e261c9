using System.Text;
using System.Threading.Channels;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>
/// Reads objects through one long-lived <c>git cat-file --batch-command</c>. Requests are sent as they come and answered in order; when the process dies,
/// what was not answered is asked again of a new one. The process is started by the first request.
/// </summary>
internal sealed class GitObjects : IAsyncDisposable
{
    private const int CommitLimit = 256 * 1024;
    private readonly Channel<GitObjectRequest> _requests = Channel.CreateUnbounded<GitObjectRequest>(new UnboundedChannelOptions { SingleReader = true });
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _slots;
    private readonly GitProcess _git;
    private readonly Task _loop;

    public GitObjects(GitProcess git)
    {
        _git = git;
        _slots = new SemaphoreSlim(git.Limits.ObjectsInFlight);
        _loop = Task.Run(RunAsync);
    }

    /// <summary>The running process, 0 when there is none.</summary>
    public int ProcessId { get; private set; }

    /// <summary>The content of a blob. Content over <paramref name="limit"/> bytes is not kept.</summary>
    public async Task<GitBlob> ReadAsync(string objectId, int limit, CancellationToken cancellationToken)
    {
        if (!GitNames.IsObjectId(objectId))
            throw new ArgumentException("An object id is 40 or 64 lower-case hexadecimal digits.", nameof(objectId));
        var answer = await AskAsync(objectId, "blob", limit, cancellationToken);
        return new GitBlob(answer.Status, answer.Size, answer.Content);
    }

    /// <summary>A tree as Git keeps it: <c>MODE SP NAME NUL ID</c> for each entry. The id may be a commit's, too.</summary>
    public async Task<GitBlob> ReadTreeAsync(string objectId, int limit, CancellationToken cancellationToken)
    {
        if (!GitNames.IsObjectId(objectId))
            throw new ArgumentException("An object id is 40 or 64 lower-case hexadecimal digits.", nameof(objectId));
        var answer = await AskAsync(objectId + "^{tree}", "tree", limit, cancellationToken);
        return new GitBlob(answer.Status, answer.Size, answer.Content);
    }

    /// <summary>The full id of the commit that <paramref name="id"/>, full or abbreviated, names; through a tag object too. Null when there is none.</summary>
    public async Task<string?> PeelAsync(string id, CancellationToken cancellationToken)
    {
        if (id.Length is < 4 or > 64 || !id.All(char.IsAsciiHexDigitLower))
            return null;
        // Only the head of the answer is of interest: what is behind it is read past.
        var answer = await AskAsync(id + "^{commit}", "commit", 0, cancellationToken);
        return answer.Status is GitBlobStatus.Found or GitBlobStatus.TooLarge ? answer.Id : null;
    }

    public async Task<GitCommitInfo?> DescribeAsync(string commit, CancellationToken cancellationToken)
    {
        var answer = await AskAsync(commit, "commit", CommitLimit, cancellationToken);
        return answer.Status switch
        {
            GitBlobStatus.Found => GitNames.ParseCommit(Encoding.UTF8.GetString(answer.Content.Span)),
            GitBlobStatus.TooLarge => new GitCommitInfo("", DateTimeOffset.UnixEpoch, ""),
            _ => null,
        };
    }

    public async ValueTask DisposeAsync()
    {
        if (_stop.IsCancellationRequested)
            return;
        _requests.Writer.TryComplete();
        await _stop.CancelAsync();
        await _loop;
        _stop.Dispose();
    }

    private async Task<GitObjectAnswer> AskAsync(string expression, string type, int limit, CancellationToken cancellationToken)
    {
        await _slots.WaitAsync(cancellationToken);
        // The slot is given back with the answer, not with the caller's patience: what is in flight stays bounded.
        var request = new GitObjectRequest(expression, type, limit, () => _slots.Release());
        if (!_requests.Writer.TryWrite(request))
            request.Fail(new ObjectDisposedException(nameof(GitObjects)));
        return await request.Task.WaitAsync(cancellationToken);
    }

    private async Task RunAsync()
    {
        var carried = new Queue<GitObjectRequest>();
        try
        {
            while (carried.Count > 0 || await _requests.Reader.WaitToReadAsync(_stop.Token))
            {
                try
                {
                    await using var session = new GitObjectSession(_git);
                    ProcessId = session.ProcessId;
                    carried = await session.RunAsync(carried, _requests.Reader, _stop.Token);
                }
                catch (LockstepException e)
                {
                    // Git cannot be started: those who wait are told, those who come later try again.
                    while (carried.TryDequeue(out var request) || _requests.Reader.TryRead(out request))
                        request.Fail(e);
                }
                finally
                {
                    ProcessId = 0;
                }

                _stop.Token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException)
        {
        }
        finally
        {
            var gone = new ObjectDisposedException(nameof(GitObjects));
            while (carried.TryDequeue(out var request) || _requests.Reader.TryRead(out request))
                request.Fail(gone);
        }
    }
}
