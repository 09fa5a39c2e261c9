using System.Net.Sockets;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Gate;

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
    private readonly Socket _listener;
    private readonly Task _serving;
    private IDisposable? _lock;
    private bool _accepted;

    public PushSession(Gate.Gate gate, CallContext call, string path)
    {
        (_gate, _call, Path) = (gate, call, path);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        // The directory is this user's alone, from before the socket is there.
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _listener.Listen(2);
        _serving = ServeAsync();
    }

    /// <summary>The socket.</summary>
    public string Path { get; }

    /// <summary>To be called when git has ended: readers see what it did when this completes.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _serving;
        try
        {
            // Git ended between moving the refs and its last hook, or was ended.
            if (_accepted) await FollowAsync();
        }
        catch (LockstepException)
        {
            // The refs are followed at the next refresh; readiness tells what is wrong.
        }
        finally
        {
            _lock?.Dispose();
            File.Delete(Path);
            _stop.Dispose();
        }
    }

    private async Task ServeAsync()
    {
        try
        {
            while (true)
            {
                using var socket = await _listener.AcceptAsync(_stop.Token);
                await using var stream = new NetworkStream(socket);
                try
                {
                    await AnswerAsync(stream);
                }
                catch (IOException)
                {
                    // The hook was ended; git refuses then.
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
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
        if (!verdict.Accepted) Release();
        var answer = new StringBuilder();
        foreach (var line in verdict.Lines) answer.Append(GitHook.Told).Append(Printable(line)).Append('\n');
        answer.Append(verdict.Accepted ? GitHook.Accepted : "refused").Append('\n');
        await stream.WriteAsync(Encoding.UTF8.GetBytes(answer.ToString()), _stop.Token);
    }

    private async Task<PushVerdict> CheckAsync(string objects, IReadOnlyList<PushedRef> refs)
    {
        if (_lock is not null) throw new LockstepException(ErrorCode.Conflict, "the push has been checked already");
        _lock = await _gate.Repository.LockAsync(_stop.Token);
        var verdict = await CheckLockedAsync(objects, refs);
        _accepted = verdict.Accepted;
        return verdict;
    }

    private async Task<PushVerdict> CheckLockedAsync(string objects, IReadOnlyList<PushedRef> refs)
    {
        // What git received lies beside the repository's own objects until it is accepted. Only deletions bring nothing.
        var name = System.IO.Path.GetFileName(objects);
        if (!name.StartsWith("tmp_objdir-", StringComparison.Ordinal) && !name.StartsWith("incoming-", StringComparison.Ordinal))
            return await _gate.CheckPushAsync(_call, _gate.Repository.Reader, refs, _stop.Token);
        await using var reader = _gate.Repository.ReaderOf(System.IO.Path.Combine(_gate.Repository.Directory, "objects", name));
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
