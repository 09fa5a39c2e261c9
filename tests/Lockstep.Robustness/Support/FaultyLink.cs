using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Lockstep.Robustness;

internal enum LinkState
{
    /// <summary>Bytes go both ways.</summary>
    Up,

    /// <summary>Connections are refused, and those that stood are cut.</summary>
    Down,

    /// <summary>Connections are taken, and nothing comes back.</summary>
    Hanging,
}

/// <summary>A TCP relay to a server on this machine that keeps its own port while it fails in the ways networks fail.</summary>
internal sealed class FaultyLink : IAsyncDisposable
{
    private readonly int _target;
    private readonly ConcurrentDictionary<Socket, bool> _open = new();
    private readonly CancellationTokenSource _stop = new();
    private TcpListener? _listener;

    public FaultyLink(int target)
    {
        _target = target;
        Port = Tool.FreePort();
        Listen();
    }

    public int Port { get; }

    public LinkState State { get; private set; }

    /// <summary>How many connections were made since the link began to hang.</summary>
    public int Hanging { get; private set; }

    public void Become(LinkState state)
    {
        var before = State;
        State = state;
        if (state == LinkState.Down)
        {
            _listener?.Stop();
            _listener = null;
        }
        if (state != before) Cut();
        Hanging = 0;
        if (state != LinkState.Down && _listener is null) Listen();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        Become(LinkState.Down);
        _stop.Dispose();
    }

    private void Cut()
    {
        foreach (var socket in _open.Keys) socket.Dispose();
        _open.Clear();
    }

    private void Listen()
    {
        _listener = new TcpListener(IPAddress.Loopback, Port);
        _listener.Server.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        _listener.Start();
        _ = AcceptAsync(_listener);
    }

    private async Task AcceptAsync(TcpListener listener)
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptSocketAsync(_stop.Token);
                _open[client] = true;
                if (State == LinkState.Hanging) Hanging++;
                else _ = RelayAsync(client);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            // The listener was stopped.
        }
    }

    private async Task RelayAsync(Socket client)
    {
        var server = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _open[server] = true;
        try
        {
            await server.ConnectAsync(IPAddress.Loopback, _target, _stop.Token);
            await Task.WhenAny(CopyAsync(client, server), CopyAsync(server, client));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // Cut.
        }
        finally
        {
            foreach (var socket in new[] { client, server })
            {
                _open.TryRemove(socket, out _);
                socket.Dispose();
            }
        }
    }

    private static async Task CopyAsync(Socket from, Socket to)
    {
        var buffer = new byte[32 * 1024];
        try
        {
            int read;
            while ((read = await from.ReceiveAsync(buffer)) > 0) await to.SendAsync(buffer.AsMemory(0, read));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Cut.
        }
    }
}
