using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;

namespace Lockstep.Client;

/// <summary>One connection: frames as JSON, one sender at a time, one reader.</summary>
internal sealed class WatchConnection(ClientWebSocket socket, int maxFrameBytes) : IDisposable
{
    private const int KeptBufferBytes = 64 * 1024;

    private readonly SemaphoreSlim _sending = new(1);
    private ArrayBufferWriter<byte> _buffer = new();

    /// <summary>Why the server closed; null while it did not.</summary>
    public int? CloseStatus => (int?)socket.CloseStatus;

    public async Task SendAsync(ClientFrame frame, CancellationToken cancellationToken)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(frame, WatchJson.Default.ClientFrame);
        await _sending.WaitAsync(cancellationToken);
        try
        {
            await socket.SendAsync(bytes, WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>The next frame of a known op; null: the server closed.</summary>
    /// <exception cref="JsonException">It is none.</exception>
    /// <exception cref="WebSocketException">The connection broke.</exception>
    public async Task<ServerFrame?> ReceiveAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            ValueWebSocketReceiveResult part;
            do
            {
                part = await socket.ReceiveAsync(_buffer.GetMemory(4096), cancellationToken);
                if (part.MessageType == WebSocketMessageType.Close) return null;
                if (part.MessageType != WebSocketMessageType.Text) throw new JsonException("A frame is text.");
                _buffer.Advance(part.Count);
                if (_buffer.WrittenCount > maxFrameBytes) throw new JsonException("A frame is larger than any of Lockstep's.");
            }
            while (!part.EndOfMessage);
            try
            {
                if (ServerFrame.Read(_buffer.WrittenSpan) is { } frame) return frame;
            }
            finally
            {
                // Overwrites what was read: it may hold secrets. A large buffer is not kept for the small frames that follow.
                _buffer.Clear();
                if (_buffer.Capacity > KeptBufferBytes) _buffer = new();
            }
        }
    }

    public void Dispose() => socket.Dispose();
}
