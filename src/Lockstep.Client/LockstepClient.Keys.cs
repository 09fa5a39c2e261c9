namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    // A server that sends nothing for this long is not waited for.
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(60);

    /// <summary>Changes the server's master key; answers when everything is wrapped by the new one. It may take longer than the usual limit of a call.</summary>
    public Task<RekeyResult> RekeyAsync(CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/rekey"), null, LockstepJson.Tolerant.RekeyResult, cancellationToken);

    /// <summary>Writes a backup of the server to a stream, encrypted; answers its length. It may take longer than the usual limit of a call to begin.</summary>
    /// <exception cref="LockstepException">unavailable when it breaks off: what was written is not whole then.</exception>
    public async Task<long> BackupAsync(Stream destination, CancellationToken cancellationToken = default)
    {
        using var request = Request(HttpMethod.Get, "v1/backup");
        await AuthoriseAsync(request, cancellationToken);
        using var response = await ExchangeAsync(request, cancellationToken, HttpCompletionOption.ResponseHeadersRead);
        using var silence = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        try
        {
            using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            var buffer = new byte[128 * 1024];
            var total = 0L;
            while (true)
            {
                silence.CancelAfter(s_silence);
                var count = await body.ReadAsync(buffer, silence.Token);
                if (count == 0) break;
                await destination.WriteAsync(buffer.AsMemory(0, count), cancellationToken);
                total += count;
            }
            return response.Content.Headers.ContentLength is { } length && length != total ? throw BrokenOff(null) : total;
        }
        catch (Exception e) when (e is HttpIOException or HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw BrokenOff(e);
        }

        LockstepException BrokenOff(Exception? e) => new(ErrorCode.Unavailable, $"the backup broke off while {Address} sent it; try again, and look at the server's log", e);
    }
}
