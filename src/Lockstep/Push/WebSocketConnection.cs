using System.Buffers;
using System.Net.WebSockets;

namespace Lockstep.Push;

/// <summary>Frames as text messages of a WebSocket (RFC 6455).</summary>
internal sealed class WebSocketConnection(WebSocket socket) : IWatchConnection
{
    // What is copied together to leave in one piece; larger bodies are sent as they are, in a fragment of their own.
    private const int MaxCopied = 16 * 1024;

    private const int FirstRead = 1024;

    public async ValueTask SendAsync(ServerFrame frame, CancellationToken cancellationToken)
    {
        if (frame.Body.IsEmpty)
        {
            await socket.SendAsync(frame.Head, WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
            return;
        }
        var length = frame.Head.Length + frame.Body.Length;
        if (length > MaxCopied)
        {
            await socket.SendAsync(frame.Head, WebSocketMessageType.Text, endOfMessage: false, cancellationToken);
            await socket.SendAsync(frame.Body, WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
            return;
        }
        var whole = ArrayPool<byte>.Shared.Rent(length);
        try
        {
            frame.Head.CopyTo(whole);
            frame.Body.CopyTo(whole.AsMemory(frame.Head.Length));
            await socket.SendAsync(whole.AsMemory(0, length), WebSocketMessageType.Text, endOfMessage: true, cancellationToken);
        }
        finally
        {
            // It may hold a secret, and the next to rent it is anybody.
            ArrayPool<byte>.Shared.Return(whole, clearArray: true);
        }
    }

    /// <summary>
    /// The next message of the client, to be disposed. While nothing comes no buffer is held. Of a message that is longer than
    /// <see cref="WatchLimits.MaxFrame"/> the rest comes with the next call.
    /// </summary>
    public async ValueTask<ReceivedFrame> ReceiveAsync(CancellationToken cancellationToken)
    {
        // Completes when there is something to read; with the end of a message, it was an empty one.
        var first = await socket.ReceiveAsync(Memory<byte>.Empty, cancellationToken);
        if (first.MessageType == WebSocketMessageType.Close) return ReceivedFrame.Closed;
        if (first.EndOfMessage) return ReceivedFrame.NotText;
        var buffer = ArrayPool<byte>.Shared.Rent(FirstRead);
        var length = 0;
        while (true)
        {
            var read = await socket.ReceiveAsync(buffer.AsMemory(length), cancellationToken);
            if (read.MessageType == WebSocketMessageType.Close) return Give(ReceivedFrame.Closed, buffer);
            length += read.Count;
            if (length > WatchLimits.MaxFrame) return Give(ReceivedFrame.TooLong, buffer);
            if (read.EndOfMessage) return read.MessageType == WebSocketMessageType.Text ? new ReceivedFrame(FrameKind.Text, buffer, length) : Give(ReceivedFrame.NotText, buffer);
            if (length == buffer.Length) buffer = Grow(buffer);
        }
    }

    public async ValueTask CloseAsync(WatchClose close, CancellationToken cancellationToken)
    {
        if (socket.State is WebSocketState.Open or WebSocketState.CloseReceived)
            await socket.CloseOutputAsync((WebSocketCloseStatus)close.Code, close.Reason, cancellationToken);
    }

    public void Abort() => socket.Abort();

    private static byte[] Grow(byte[] buffer)
    {
        var larger = ArrayPool<byte>.Shared.Rent(Math.Min(buffer.Length * 4, WatchLimits.MaxFrame + 1));
        buffer.CopyTo(larger, 0);
        ArrayPool<byte>.Shared.Return(buffer, clearArray: true);
        return larger;
    }

    private static ReceivedFrame Give(ReceivedFrame frame, byte[] buffer)
    {
        ArrayPool<byte>.Shared.Return(buffer, clearArray: true);
        return frame;
    }
}

internal enum FrameKind { Text, NotText, TooLong, Closed }

/// <summary>What came from a client. A text holds a rented buffer until it is disposed: it may hold a token.</summary>
internal readonly struct ReceivedFrame(FrameKind kind, byte[]? buffer = null, int length = 0) : IDisposable
{
    public static readonly ReceivedFrame Closed = new(FrameKind.Closed);
    public static readonly ReceivedFrame NotText = new(FrameKind.NotText);
    public static readonly ReceivedFrame TooLong = new(FrameKind.TooLong);

    public FrameKind Kind => kind;

    public ReadOnlySpan<byte> Text => buffer.AsSpan(0, length);

    public void Dispose()
    {
        if (buffer is not null) ArrayPool<byte>.Shared.Return(buffer, clearArray: true);
    }
}
