using System.Net;
using System.Net.Sockets;

namespace Lockstep.Benchmarks;

/// <summary>One watching connection: a non-blocking socket and what it has of a message that is not whole yet.</summary>
internal sealed class Watcher(int id) : IDisposable
{
    private Socket? _socket;
    private byte[] _rest = [];
    private int _length;

    public int Id => id;

    /// <summary>The server has answered the upgrade.</summary>
    public bool Upgraded { get; set; }

    /// <summary>The server has said that it closes.</summary>
    public bool Ended { get; set; }

    /// <summary>The server has answered the subscription.</summary>
    public bool Ready { get; set; }

    /// <summary>Connects. On the loopback address that takes a moment as long as the server's backlog is not full, which the window of <see cref="Crowd"/> sees to.</summary>
    public Socket Connect(IPEndPoint server)
    {
        _socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        _socket.Connect(server);
        _socket.Blocking = false;
        return _socket;
    }

    public void Send(ReadOnlySpan<byte> bytes)
    {
        var sent = _socket!.Send(bytes, SocketFlags.None, out var error);
        if (error != SocketError.Success || sent != bytes.Length) throw new WatcherLostException($"sending: {error}");
    }

    /// <summary>Reads what has come and takes the whole messages off it with <paramref name="take"/>, which returns the length of the first one, or 0 when it is not whole yet.</summary>
    public void Receive(byte[] buffer, Func<Watcher, ReadOnlyMemory<byte>, int> take)
    {
        // What is left of the last time goes in front: hardly ever anything, so that this copies nothing.
        _rest.AsSpan(0, _length).CopyTo(buffer);
        var received = _socket!.Receive(buffer.AsSpan(_length), SocketFlags.None, out var error);
        if (error == SocketError.WouldBlock) return;
        if (error != SocketError.Success) throw new WatcherLostException($"receiving: {error}");
        if (received == 0 && Ended)
        {
            Dispose();
            return;
        }
        if (received == 0) throw new WatcherLostException("the server closed the connection");
        var input = buffer.AsMemory(0, _length + received);
        while (input.Length > 0 && take(this, input) is var length and > 0) input = input[length..];
        if (input.Length == buffer.Length) throw new WatcherLostException("a message is longer than the buffer");
        if (input.Length > _rest.Length) _rest = new byte[input.Length];
        input.CopyTo(_rest);
        _length = input.Length;
    }

    /// <summary>Closes with a reset, so that no port waits.</summary>
    public void Dispose()
    {
        if (_socket is null) return;
        _socket.LingerState = new(true, 0);
        _socket.Dispose();
        (_socket, _length, Upgraded, Ready, Ended) = (null, 0, false, false, false);
    }
}

/// <summary>A watcher's connection broke or was refused.</summary>
internal sealed class WatcherLostException(string reason) : IOException(reason);
