using System.Net.Sockets;
using System.Text;

namespace Lockstep.Tests.Support;

/// <summary>A connection on which a test writes what it likes.</summary>
internal sealed class RawConnection : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly TcpClient _tcp = new() { NoDelay = true };

    /// <summary>Connects; <paramref name="receiveBuffer"/>: how much this end takes up unread, as far as the system lets that be said.</summary>
    public static async Task<RawConnection> OpenAsync(string address, int? receiveBuffer = null)
    {
        var raw = new RawConnection();
        if (receiveBuffer is { } bytes) raw._tcp.ReceiveBufferSize = bytes;
        var uri = new Uri(address);
        await raw._tcp.ConnectAsync(uri.Host, uri.Port);
        return raw;
    }

    /// <summary>Everything that the server says to these bytes until it closes; whoever sends them asks for that, or it must be the server's own wish.</summary>
    public static async Task<string> AskAsync(string address, string bytes)
    {
        using var raw = await OpenAsync(address);
        // Both at once: a server may answer and close before it was told everything.
        var sending = raw.TrySendAsync(bytes);
        var answer = await raw.ReadToEndAsync();
        await sending;
        return answer;
    }

    /// <summary>Sends one byte for each character; false: the server has closed.</summary>
    public async Task<bool> TrySendAsync(string bytes)
    {
        try
        {
            using var deadline = new CancellationTokenSource(s_patience);
            await _tcp.GetStream().WriteAsync(Encoding.Latin1.GetBytes(bytes), deadline.Token);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    public Task<string> ReadToEndAsync() => ReadUntilAsync(_ => false);

    /// <summary>Reads until it has what it wants, or the server closes.</summary>
    public async Task<string> ReadUntilAsync(Func<string, bool> enough)
    {
        using var deadline = new CancellationTokenSource(s_patience);
        var (all, buffer) = (new StringBuilder(), new byte[16 * 1024]);
        try
        {
            for (int read; (read = await _tcp.GetStream().ReadAsync(buffer, deadline.Token)) > 0;)
            {
                all.Append(Encoding.Latin1.GetString(buffer, 0, read));
                if (enough(all.ToString())) break;
            }
        }
        catch (IOException)
        {
            // Reset: what was unread when it closed.
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"the server did not close, or not say enough: {all}", e);
        }
        return all.ToString();
    }

    public void Dispose() => _tcp.Dispose();
}
