using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Lockstep.Benchmarks;

/// <summary>A watcher of one key of etcd: gRPC's <c>etcdserverpb.Watch/Watch</c> on an HTTP/2 connection of its own, as processes of their own have it; ready when the watch is created.
/// Written out by hand as far as these calls need it (RFC 9113, RFC 7541), so that it costs what a WebSocket costs.</summary>
internal sealed class EtcdDialect(Uri server, string key) : Dialect(server)
{
    // WatchRequest {create_request = 1 {key = 1}}
    public override ReadOnlyMemory<byte> Opening { get; } =
        (byte[])[.. Http2.Preface, .. Http2.Call(1, server.Authority, "/etcdserverpb.Watch/Watch", Http2.Field(1, Http2.Field(1, Encoding.UTF8.GetBytes(key))), last: false)];

    public override int Take(Watcher watcher, ReadOnlyMemory<byte> input, out ReadOnlyMemory<byte> message)
    {
        var length = Http2.Take(input, watcher.Send, out var stream, out message, out var ended);
        if (ended) throw new WatcherLostException("etcd ended the watch");
        if (stream == 1 && !message.IsEmpty && !watcher.Ready) (watcher.Ready, message) = (true, default);
        return length;
    }
}

/// <summary>Writes keys of etcd, one <c>etcdserverpb.KV/Put</c> after the other on one connection.</summary>
internal sealed class EtcdWriter : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _buffer = new byte[64 * 1024];
    private readonly string _authority;
    private int _stream = -1, _length;

    public EtcdWriter(Uri server)
    {
        _authority = server.Authority;
        _socket.Connect(IPAddress.Parse(server.Host), server.Port);
        _socket.Send(Http2.Preface);
    }

    /// <summary>Sends it and blocks until it is acknowledged.</summary>
    public void Put(string key, string value)
    {
        _stream += 2;
        byte[] put = [.. Http2.Field(1, Encoding.UTF8.GetBytes(key)), .. Http2.Field(2, Encoding.UTF8.GetBytes(value))];
        _socket.Send(Http2.Call(_stream, _authority, "/etcdserverpb.KV/Put", put, last: true));
        for (var (answered, over) = (false, false); !over;)
        {
            while (Http2.Take(_buffer.AsMemory(0, _length), bytes => _socket.Send(bytes), out var stream, out var message, out var ended) is var length and > 0)
            {
                if (stream == _stream) (answered, over) = (answered || !message.IsEmpty, over || ended);
                _buffer.AsSpan(length, _length - length).CopyTo(_buffer);
                _length -= length;
            }
            if (over && !answered) throw new InvalidOperationException("etcd did not take the value");
            if (over) return;
            var received = _socket.Receive(_buffer.AsSpan(_length));
            _length += received > 0 ? received : throw new IOException("etcd closed the connection");
        }
    }

    public void Dispose() => _socket.Dispose();
}

/// <summary>As much of HTTP/2 as a gRPC call with small messages needs.</summary>
internal static class Http2
{
    private const int FrameHead = 9, MessageHead = 5;
    private const byte Data = 0, Headers = 1, Reset = 3, Settings = 4, Ping = 6, GoAway = 7, WindowUpdate = 8, EndStream = 1, Ack = 1, EndHeaders = 4;

    /// <summary>The client's first bytes: windows that never fill.</summary>
    public static byte[] Preface { get; } =
        [.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(Settings, 0, 0, [0, 4, 0x7f, 0xff, 0xff, 0xff]), .. Frame(WindowUpdate, 0, 0, [0x7f, 0, 0, 0])];

    /// <summary>The head of a call and its one message.</summary>
    public static byte[] Call(int stream, string authority, string path, byte[] message, bool last)
    {
        // HPACK: indexed names of the static table, values as they are, nothing added to the dynamic table.
        byte[] head = [0x83, 0x86, 0x04, .. Literal(path), 0x01, .. Literal(authority), 0x0f, 0x10, .. Literal("application/grpc"), 0x00, .. Literal("te"), .. Literal("trailers")];
        byte[] framed = [0, 0, 0, (byte)(message.Length >> 8), (byte)message.Length, .. message];
        return [.. Frame(Headers, EndHeaders, stream, head), .. Frame(Data, last ? EndStream : (byte)0, stream, framed)];
    }

    /// <summary>A length-delimited field of a protocol buffer.</summary>
    public static byte[] Field(int number, byte[] value) =>
        value.Length < 128 ? [(byte)((number << 3) | 2), (byte)value.Length, .. value] : [(byte)((number << 3) | 2), (byte)(0x80 | (value.Length & 0x7f)), (byte)(value.Length >> 7), .. value];

    /// <summary>Takes the first frame off the input and answers it where that is due; its length, or 0 when it is not whole yet.</summary>
    /// <param name="input">What has come so far.</param>
    /// <param name="send">Sends the answer.</param>
    /// <param name="stream">The stream it belongs to.</param>
    /// <param name="message">The gRPC message in it; empty when there is none.</param>
    /// <param name="ended">Whether it ends its stream, or all of them.</param>
    public static int Take(ReadOnlyMemory<byte> input, SendBytes send, out int stream, out ReadOnlyMemory<byte> message, out bool ended)
    {
        (stream, message, ended) = (0, default, false);
        var bytes = input.Span;
        if (bytes.Length < FrameHead) return 0;
        var length = (bytes[0] << 16) | (bytes[1] << 8) | bytes[2];
        if (bytes.Length < FrameHead + length) return 0;
        var (kind, flags, payload) = (bytes[3], bytes[4], input.Slice(FrameHead, length));
        stream = BinaryPrimitives.ReadInt32BigEndian(bytes[5..]);
        ended = kind is Reset or GoAway || (kind is Data or Headers && (flags & EndStream) != 0);
        if (kind == Settings && (flags & Ack) == 0) send(Frame(Settings, Ack, 0, []));
        if (kind == Ping && (flags & Ack) == 0) send(Frame(Ping, Ack, 0, payload.Span));
        if (kind == Data && length > MessageHead) message = payload[MessageHead..];
        return FrameHead + length;
    }

    private static byte[] Literal(string text) => [(byte)text.Length, .. Encoding.ASCII.GetBytes(text)];

    private static byte[] Frame(byte kind, byte flags, int stream, ReadOnlySpan<byte> payload) =>
        [0, (byte)(payload.Length >> 8), (byte)payload.Length, kind, flags, (byte)(stream >> 24), (byte)(stream >> 16), (byte)(stream >> 8), (byte)stream, .. payload];
}

internal delegate void SendBytes(ReadOnlySpan<byte> bytes);
