using System.Buffers;
using System.Diagnostics;
using Lockstep.Client;
using Lockstep.Config.Git;

namespace Lockstep.Compat.Git;

/// <summary>One run of git for a client: what the client sends flows in, what git says flows out, and the run ends when git does.</summary>
internal sealed class GitRun(Process process, TimeSpan limit, TimeProvider time)
{
    private const int BufferBytes = 64 * 1024;
    private const int ErrorBytes = 4 * 1024;

    // A hook that has only just been started must get to its end, on a busy machine too: git that is killed leaves what it received behind.
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(30);

    /// <summary>Run before git is ended, so that nothing git waits for keeps it from ending by itself.</summary>
    public Func<Task>? Ending { get; init; }

    /// <summary>Serves to the end; answers what git complained of when it failed, null when it did not.</summary>
    /// <exception cref="OperationCanceledException">The client is gone, or took too long.</exception>
    public async Task<string?> ServeAsync(Stream input, Stream output, CancellationToken aborted)
    {
        using (process)
        {
            using var timeout = new CancellationTokenSource(limit, time);
            using var any = CancellationTokenSource.CreateLinkedTokenSource(aborted, timeout.Token);
            using var ended = new CancellationTokenSource();
            using var inputEnd = CancellationTokenSource.CreateLinkedTokenSource(any.Token, ended.Token);
            var errors = ReadErrorsAsync();
            var incoming = SendAsync(input, inputEnd.Token);
            try
            {
                await CopyAsync(process.StandardOutput.BaseStream, output, any.Token);
                // Git has said all it had to say; what the client still sends (a push that is refused for its size) is left unread.
                await ended.CancelAsync();
                await incoming;
                await process.WaitForExitAsync(any.Token);
                return process.ExitCode == 0 ? null : GitProcess.Scrub(await errors);
            }
            finally
            {
                await ended.CancelAsync();
                if (Ending is not null) await Ending();
                await EndAsync();
                await incoming.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await errors;
            }
        }
    }

    // Without input and readers git ends by itself and clears away what it has received so far; only if it does not is it ended.
    private async Task EndAsync()
    {
        if (process.HasExited) return;
        // Perhaps closed before, which its writer would not take.
        Close(process.StandardInput.BaseStream);
        using var grace = new CancellationTokenSource(s_grace, time);
        try
        {
            // One that receives is heard to its end: git that can't speak any more ends without clearing away.
            if (Ending is null) process.StandardOutput.Close();
            else await process.StandardOutput.BaseStream.CopyToAsync(Stream.Null, grace.Token);
            await process.WaitForExitAsync(grace.Token);
        }
        catch (OperationCanceledException)
        {
            GitProcess.EndTree(process);
            await process.WaitForExitAsync(CancellationToken.None);
        }
    }

    private async Task SendAsync(Stream input, CancellationToken cancellationToken)
    {
        var sink = process.StandardInput.BaseStream;
        try
        {
            await CopyAsync(input, sink, cancellationToken);
        }
        catch (Exception e) when (e is IOException or OperationCanceledException or InvalidDataException or LockstepException)
        {
            // Git has ended and says why; or the client is gone, or what it sends can't be unpacked or is too much: then git finds its input cut short.
        }
        finally
        {
            // Git waits for as long as there may be more.
            Close(sink);
        }
    }

    private static void Close(Stream sink)
    {
        try
        {
            sink.Close();
        }
        catch (IOException)
        {
        }
    }

    private static async Task CopyAsync(Stream from, Stream to, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            int read;
            while ((read = await from.ReadAsync(buffer, cancellationToken)) > 0)
            {
                await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
                await to.FlushAsync(cancellationToken);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private async Task<ReadOnlyMemory<byte>> ReadErrorsAsync()
    {
        var kept = new MemoryStream();
        var buffer = new byte[ErrorBytes];
        try
        {
            int read;
            while ((read = await process.StandardError.BaseStream.ReadAsync(buffer)) > 0)
                if (kept.Length < ErrorBytes) kept.Write(buffer, 0, (int)Math.Min(read, ErrorBytes - kept.Length));
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
        }
        return kept.GetBuffer().AsMemory(0, (int)kept.Length);
    }
}
