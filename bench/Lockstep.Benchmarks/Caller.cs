using System.Net;
using System.Net.Sockets;
using System.Text;

namespace Lockstep.Benchmarks;

/// <summary>One HTTP/1.1 connection that is kept: what it sends is under way at once, and nothing of a client's own machinery is in the time.</summary>
internal sealed class Caller : IDisposable
{
    private readonly Socket _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    private readonly byte[] _buffer = new byte[64 * 1024];
    private readonly string _head;

    public Caller(Uri server, string? token = null)
    {
        _socket.Connect(IPAddress.Parse(server.Host), server.Port);
        _head = $"Host: {server.Authority}\r\n{(token is null ? "" : $"Authorization: Bearer {token}\r\n")}Content-Type: application/json\r\n";
    }

    /// <summary>Sends a request, with a token of its own when the connection has none, and blocks until its answer is whole; the body. Anything but 2xx is an error.</summary>
    public string Send(string method, string path, string body = "", string? token = null)
    {
        _socket.Send(Encoding.UTF8.GetBytes($"{method} {path} HTTP/1.1\r\n{_head}{(token is null ? "" : $"Authorization: Bearer {token}\r\n")}Content-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
        var (length, head) = (0, -1);
        while ((head = _buffer.AsSpan(0, length).IndexOf("\r\n\r\n"u8)) < 0) length += Receive(length);
        var lines = Encoding.Latin1.GetString(_buffer, 0, head).Split("\r\n");
        var whole = head + 4 + (lines.FirstOrDefault(l => l.StartsWith("Content-Length:", StringComparison.OrdinalIgnoreCase)) is { } line ? int.Parse(line[15..]) : 0);
        while (length < whole) length += Receive(length);
        var text = Encoding.UTF8.GetString(_buffer, head + 4, whole - head - 4);
        return lines[0].StartsWith("HTTP/1.1 2", StringComparison.Ordinal) ? text : throw new InvalidOperationException($"{method} {path}: {lines[0]} {text}");
    }

    public void Dispose() => _socket.Dispose();

    private int Receive(int at)
    {
        var received = _socket.Receive(_buffer.AsSpan(at));
        return received > 0 ? received : throw new IOException("the server closed the connection before it had answered");
    }
}
