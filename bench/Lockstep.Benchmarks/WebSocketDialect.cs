using System.Buffers.Binary;
using System.Text;

namespace Lockstep.Benchmarks;

/// <summary>A WebSocket (RFC 6455) that is ready when it is upgraded and only listens: what the bare server's watchers speak.</summary>
internal class WebSocketDialect(Uri server, string path, params string[] headers) : Dialect(server)
{
    private const int Text = 1, Close = 8, Ping = 9, Pong = 10, Final = 0x80, Masked = 0x80;

    public override ReadOnlyMemory<byte> Opening => _opening ??= Encoding.ASCII.GetBytes(string.Join("\r\n",
        [$"GET {path} HTTP/1.1", $"Host: {Authority}", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", .. headers, "", ""]));

    private byte[]? _opening;

    /// <summary>The server is expected to close: what it says then is a message.</summary>
    public bool AwaitsEnd { get; set; }

    public sealed override int Take(Watcher watcher, ReadOnlyMemory<byte> input, out ReadOnlyMemory<byte> message)
    {
        message = default;
        var bytes = input.Span;
        if (!watcher.Upgraded)
        {
            var end = bytes.IndexOf("\r\n\r\n"u8);
            if (end < 0) return 0;
            if (!bytes.StartsWith("HTTP/1.1 101 "u8)) throw new WatcherLostException($"refused: {Encoding.Latin1.GetString(bytes[..bytes.IndexOf((byte)'\r')])}");
            watcher.Upgraded = true;
            Opened(watcher);
            return end + 4;
        }
        if (bytes.Length < 2) return 0;
        var (start, length) = bytes[1] switch
        {
            < 126 => (2, (int)bytes[1]),
            126 when bytes.Length >= 4 => (4, BinaryPrimitives.ReadUInt16BigEndian(bytes[2..])),
            127 when bytes.Length >= 10 => (10, checked((int)BinaryPrimitives.ReadUInt64BigEndian(bytes[2..]))),
            _ => (0, 0),
        };
        if (start == 0 || bytes.Length < start + length) return 0;
        var payload = input.Slice(start, length);
        switch (bytes[0])
        {
            case Final | Text:
                message = payload;
                Heard(watcher, payload.Span);
                break;
            case Final | Ping:
                watcher.Send(Frame(Pong, payload.Span));
                break;
            case Final | Close when AwaitsEnd:
                watcher.Ended = true;
                message = payload;
                break;
            case Final | Close:
                throw new WatcherLostException($"closed with {(length < 2 ? 0 : BinaryPrimitives.ReadUInt16BigEndian(payload.Span))}");
            default:
                throw new WatcherLostException($"a frame that starts with {bytes[0]:x2}");
        }
        return start + length;
    }

    protected virtual void Opened(Watcher watcher) => watcher.Ready = true;

    protected virtual void Heard(Watcher watcher, ReadOnlySpan<byte> text)
    {
    }

    protected static byte[] TextFrame(string text) => Frame(Text, Encoding.UTF8.GetBytes(text));

    /// <summary>A client's frame. Its mask is zero, which is as good as any other and leaves the bytes as they are.</summary>
    private static byte[] Frame(int kind, ReadOnlySpan<byte> payload)
    {
        byte[] head = payload.Length < 126
            ? [(byte)(Final | kind), (byte)(Masked | payload.Length), 0, 0, 0, 0]
            : [(byte)(Final | kind), Masked | 126, (byte)(payload.Length >> 8), (byte)payload.Length, 0, 0, 0, 0];
        return [.. head, .. payload];
    }
}
