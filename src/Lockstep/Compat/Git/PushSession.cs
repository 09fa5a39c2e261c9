using System.Net.Sockets;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Gate;
using Microsoft.Extensions.Logging;

namespace Lockstep.Compat.Git;

/// <summary>
/// One push under way: answers git's hooks on a socket of its own, which only this user can reach. From the check until git has moved the refs nobody else moves any.
/// </summary>
internal sealed class PushSession : IAsyncDisposable
{
    private const int MaxRequest = 1024 * 1024;

    private readonly CancellationTokenSource _stop = new();
    private readonly Gate.Gate _gate;
    private readonly CallContext _call;
    private readonly ILogger _log;
    private readonly Socket _listener;
    private readonly Task _serving;
    private IDisposable? _lock;
    private DirectoryInfo? _quarantine;
    private bool _accepted;

    public PushSession(Gate.Gate gate, CallContext call, string path, ILogger log)
    {
        (_gate, _call, Path, _log) = (gate, call, path, log);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        // The directory is this user's alone, from before the socket is there.
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(2);
        _serving = ServeAsync();
    }

    /// <summary>The socket.</summary>
    public string Path { get; }

    /// <summary>Gives the check up: the hook ends and refuses. What was accepted stays so.</summary>
    public Task StopAsync() => _stop.CancelAsync();

    /// <summary>To be called when git has ended: readers see what it did when this completes.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            await StopAsync();
            await _serving;
            // Git ended between moving the refs and its last hook, or was ended.
            if (_accepted) await FollowAsync();
        }
        catch (LockstepException)
        {
            // The refs are followed at the next refresh; readiness tells what is wrong.
        }
        finally
        {
            Release();
            // Git removes it itself, unless it was killed.
            if (_quarantine is not null) GitScratch.Remove(_quarantine);
            _stop.Dispose();
        }
    }

    private async Task ServeAsync()
    {
        // A hook that comes after the end is refused at once.
        using (_listener)
        {
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    using var socket = await _listener.AcceptAsync(_stop.Token);
                    await using var stream = new NetworkStream(socket);
                    await AnswerAsync(stream);
                }
                catch (Exception e) when (e is IOException or SocketException or OperationCanceledException)
                {
                    // The hook was ended, or the check given up; git refuses then.
                }
            }
        }
    }

    private async Task AnswerAsync(NetworkStream stream)
    {
        PushVerdict verdict;
        try
        {
            var lines = Encoding.UTF8.GetString(await ReadAsync(stream)).Split('\n');
            verdict = lines[0] == "pre-receive" ? await CheckAsync(lines[1], [.. lines.Skip(2).Where(l => l.Length > 0).Select(Parse)]) : new PushVerdict(true, await FollowAsync());
        }
        catch (LockstepException e)
        {
            verdict = new PushVerdict(false, ["error: " + e.Message, .. e.Errors.Select(x => "error: " + x)]);
        }
        catch (Exception e) when (!_stop.IsCancellationRequested)
        {
            _log.GitWarning($"the check of a push by '{_call.Caller.Name}' failed unexpectedly: {e}");
            verdict = new PushVerdict(false, [$"error: refused, an unexpected failure ({e.GetType().Name}); the server's log has more"]);
        }
        if (!verdict.Accepted) Release();
        var answer = new StringBuilder();
        foreach (var line in verdict.Lines) answer.Append(GitHook.Told).Append(Printable(line)).Append('\n');
        answer.Append(verdict.Accepted ? GitHook.Accepted : "refused").Append('\n');
        await stream.WriteAsync(Encoding.UTF8.GetBytes(answer.ToString()), _stop.Token);
    }

    private async Task<PushVerdict> CheckAsync(string objects, IReadOnlyList<PushedRef> refs)
    {
        if (_lock is not null) throw new LockstepException(ErrorCode.Conflict, "the push has been checked already");
        // What git received lies beside the repository's own objects until it is accepted. Only deletions bring nothing.
        _quarantine = GitScratch.QuarantineOf(_gate.Repository.Directory, objects);
        _lock = await _gate.Repository.LockAsync(_stop.Token);
        var verdict = await CheckLockedAsync(refs);
        _accepted = verdict.Accepted;
        return verdict;
    }

    private async Task<PushVerdict> CheckLockedAsync(IReadOnlyList<PushedRef> refs)
    {
        if (_quarantine is null) return await _gate.CheckPushAsync(_call, _gate.Repository.Reader, refs, _stop.Token);
        await using var reader = _gate.Repository.ReaderOf(_quarantine.FullName);
        return await _gate.CheckPushAsync(_call, reader, refs, _stop.Token);
    }

    private async Task<IReadOnlyList<string>> FollowAsync()
    {
        var outcome = await _gate.PushedAsync(_call);
        // Only now: whoever comes next finds readers where the refs are.
        _accepted = false;
        Release();
        return Gate.Gate.DescribeOutcome(_call, outcome);
    }

    private void Release()
    {
        _lock?.Dispose();
        _lock = null;
    }

    private static PushedRef Parse(string line)
    {
        var parts = line.Split(' ', 3);
        if (parts.Length != 3 || !GitNames.IsObjectId(parts[0]) || !GitNames.IsObjectId(parts[1]))
            throw new LockstepException(ErrorCode.BadRequest, "git names a ref in a way that is not understood");
        return new PushedRef(parts[2], IdOf(parts[0]), IdOf(parts[1]));

        static string? IdOf(string id) => id.AsSpan().ContainsAnyExcept('0') ? id : null;
    }

    private async Task<byte[]> ReadAsync(NetworkStream stream)
    {
        using var kept = new MemoryStream();
        var buffer = new byte[16 * 1024];
        int read;
        while ((read = await stream.ReadAsync(buffer, _stop.Token)) > 0)
        {
            kept.Write(buffer, 0, read);
            if (kept.Length > MaxRequest) throw new LockstepException(ErrorCode.TooLarge, "too many branches and tags at once");
        }
        return kept.ToArray();
    }

    private static string Printable(string line) => string.Concat(line.Select(c => char.IsControl(c) ? ' ' : c));
}
