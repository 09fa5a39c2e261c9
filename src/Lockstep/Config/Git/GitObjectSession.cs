using System.Diagnostics;
using System.Text;
using System.Threading.Channels;

namespace Lockstep.Config.Git;

/// <summary>One life of a <c>git cat-file</c> process: a writer that sends, a reader that matches answers in order.</summary>
internal sealed class GitObjectSession : IAsyncDisposable
{
    private const int DeathsBeforeDamaged = 3;
    private readonly Channel<GitObjectRequest> _inFlight = Channel.CreateUnbounded<GitObjectRequest>(new UnboundedChannelOptions { SingleReader = true });
    private readonly byte[] _buffer = new byte[64 * 1024];
    private readonly GitProcess _git;
    private readonly Process _process;
    private readonly Stream _output;
    private readonly Task _errors;
    private int _start;
    private int _end;

    public GitObjectSession(GitProcess git)
    {
        _git = git;
        var limit = new Dictionary<string, string>(StringComparer.Ordinal) { [GitProcess.AllocationLimit.Key] = GitProcess.AllocationLimit.Value };
        _process = git.Start(new GitCommand("cat-file", "--batch-command", "--buffer") { Environment = limit });
        _output = _process.StandardOutput.BaseStream;
        _errors = DrainAsync(_process.StandardError.BaseStream);
    }

    public int ProcessId => _process.Id;

    /// <summary>Serves until the process ends or has to be started afresh. Returns what was not answered, in order.</summary>
    public async Task<Queue<GitObjectRequest>> RunAsync(
        Queue<GitObjectRequest> carried, ChannelReader<GitObjectRequest> requests, CancellationToken stop)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(stop);
        // Reads and writes on the pipes end when the process does; nothing else is sure to end them.
        await using var end = over.Token.Register(() => GitProcess.EndTree(_process));
        var writer = WriteAsync(carried, requests, over.Token);
        var died = await ReadAsync(over.Token);
        await over.CancelAsync();
        await writer;

        var left = new Queue<GitObjectRequest>();
        while (_inFlight.Reader.TryRead(out var request))
            left.Enqueue(request);
        while (carried.TryDequeue(out var request))
            left.Enqueue(request);
        if (died && !stop.IsCancellationRequested && left.TryPeek(out var first) && ++first.Deaths >= DeathsBeforeDamaged)
            left.Dequeue().Complete(new GitObjectAnswer(GitBlobStatus.Damaged, "", 0, default));
        return left;
    }

    public async ValueTask DisposeAsync()
    {
        GitProcess.EndTree(_process);
        await _process.WaitForExitAsync(CancellationToken.None);
        await _errors;
        _process.Dispose();
    }

    private async Task WriteAsync(Queue<GitObjectRequest> carried, ChannelReader<GitObjectRequest> requests, CancellationToken over)
    {
        var lines = new StringBuilder();
        try
        {
            do
            {
                while (lines.Length < 16 * 1024 && (carried.TryDequeue(out var request) || requests.TryRead(out request)))
                {
                    // Known to the reader before git can answer it.
                    _inFlight.Writer.TryWrite(request);
                    lines.Append("contents ").Append(request.Expression).Append('\n');
                }

                // Git gathers until it is told to answer: one write of answers for many requests.
                lines.Append("flush\n");
                await _process.StandardInput.BaseStream.WriteAsync(Encoding.ASCII.GetBytes(lines.ToString()), over);
                await _process.StandardInput.BaseStream.FlushAsync(over);
                lines.Clear();
            }
            while (carried.Count > 0 || await requests.WaitToReadAsync(over));
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
        }
        finally
        {
            _inFlight.Writer.Complete();
        }
    }

    /// <summary>True when the process ended or hung while an answer was due; false when it is to be started afresh, or nothing was due.</summary>
    private async Task<bool> ReadAsync(CancellationToken over)
    {
        using var deadline = new CancellationTokenSource(Timeout.InfiniteTimeSpan, _git.Time);
        await using var end = deadline.Token.Register(() => GitProcess.EndTree(_process));
        try
        {
            while (await _inFlight.Reader.WaitToReadAsync(over))
            {
                while (_inFlight.Reader.TryPeek(out var request))
                {
                    deadline.CancelAfter(_git.Limits.Object);
                    var (answer, goOn) = await AnswerAsync(request);
                    deadline.CancelAfter(Timeout.InfiniteTimeSpan);
                    if (answer is null)
                        return true;
                    _inFlight.Reader.TryRead(out _);
                    request.Complete(answer.Value);
                    if (!goOn)
                        return false;
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException)
        {
            return e is not OperationCanceledException;
        }

        return false;
    }

    /// <summary>Reads one answer: <c>ID TYPE SIZE⏎content⏎</c>, or <c>NAME missing⏎</c>. No answer: the process has ended or speaks something else.</summary>
    private async Task<(GitObjectAnswer? Answer, bool GoOn)> AnswerAsync(GitObjectRequest request)
    {
        var line = await LineAsync();
        if (line is null)
            return (null, false);
        var parts = line.Split(' ');
        if (parts.Length == 2 && parts[1] is "missing" or "ambiguous")
            return (new GitObjectAnswer(GitBlobStatus.Missing, "", 0, default), true);
        if (parts.Length != 3 || !GitNames.IsObjectId(parts[0]) || !long.TryParse(parts[2], out var size) || size < 0)
            return (null, false);

        var keep = parts[1] == request.Type && size <= request.Limit;
        if (!keep)
        {
            var status = parts[1] == request.Type ? GitBlobStatus.TooLarge : GitBlobStatus.Missing;
            var answer = new GitObjectAnswer(status, parts[0], size, default);
            return size <= _git.Limits.SkipBytes ? (answer, await SkipAsync(size + 1)) : (answer, false);
        }

        var content = new byte[size];
        for (var filled = 0; filled < content.Length;)
        {
            if (_start == _end && !await FillAsync())
                return (null, false);
            var take = Math.Min(content.Length - filled, _end - _start);
            _buffer.AsSpan(_start, take).CopyTo(content.AsSpan(filled));
            filled += take;
            _start += take;
        }

        return await SkipAsync(1) ? (new GitObjectAnswer(GitBlobStatus.Found, parts[0], size, content), true) : (null, false);
    }

    private async Task<string?> LineAsync()
    {
        var searched = 0;
        while (true)
        {
            var index = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (index >= 0)
            {
                var line = Encoding.ASCII.GetString(_buffer, _start, searched + index);
                _start += searched + index + 1;
                return line;
            }

            searched = _end - _start;
            if (searched > 1024 || !await FillAsync())
                return null;
        }
    }

    private async Task<bool> SkipAsync(long count)
    {
        while (count > 0)
        {
            if (_start == _end && !await FillAsync())
                return false;
            var take = (int)Math.Min(count, _end - _start);
            _start += take;
            count -= take;
        }

        return true;
    }

    private async Task<bool> FillAsync()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        var read = await _output.ReadAsync(_buffer.AsMemory(_end));
        _end += read;
        return read > 0;
    }

    private static async Task DrainAsync(Stream errors)
    {
        var buffer = new byte[4096];
        try
        {
            while (await errors.ReadAsync(buffer) > 0)
            {
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
        }
    }
}
