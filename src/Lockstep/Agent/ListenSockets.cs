using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>
/// Sockets that listen as long as this process lives and are handed to each child, so that a connection that comes while one child takes over
/// from another waits in the kernel's queue.
/// </summary>
internal sealed partial class ListenSockets : IDisposable
{
    private const int Max = 16;

    private readonly List<Socket> _sockets = [];
    private readonly List<int> _descriptors = [];

    /// <summary>Binds and listens on each address.</summary>
    /// <exception cref="LockstepException">One can't be bound; none is held then.</exception>
    public ListenSockets(IReadOnlyList<IPEndPoint> addresses)
    {
        foreach (var address in addresses)
        {
            var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            _sockets.Add(socket);
            try
            {
                if (address.Address.Equals(IPAddress.IPv6Any)) socket.DualMode = true;
                socket.Bind(address);
                socket.Listen(4096);
            }
            catch (SocketException e)
            {
                Dispose();
                throw new LockstepException(ErrorCode.Conflict, $"--listen {address}: {e.Message}", e);
            }
            // A duplicate is inherited by children; the socket's own descriptor is not (FD_CLOEXEC).
            _descriptors.Add(Duplicate((int)socket.Handle));
        }
    }

    /// <summary>The descriptors as a child has them before it moves them to 3 and up (<see cref="ExecShim"/>).</summary>
    public IReadOnlyList<int> Descriptors => _descriptors;

    /// <summary>Where they listen, the ports as they turned out.</summary>
    public IReadOnlyList<IPEndPoint> Addresses => [.. _sockets.Select(s => (IPEndPoint)s.LocalEndPoint!)];

    /// <summary>Reads <c>HOST:PORT</c> and <c>:PORT</c> (all addresses), several joined by commas.</summary>
    public static IReadOnlyList<IPEndPoint> Parse(IReadOnlyList<string> texts)
    {
        var addresses = texts.SelectMany(t => t.Split(',')).Select(ParseOne).ToList();
        return addresses.Count <= Max ? addresses : throw new LockstepException(ErrorCode.BadRequest, $"--listen takes at most {Max} addresses");
    }

    public void Dispose()
    {
        foreach (var descriptor in _descriptors) _ = Close(descriptor);
        foreach (var socket in _sockets) socket.Dispose();
        _descriptors.Clear();
        _sockets.Clear();
    }

    private static IPEndPoint ParseOne(string text)
    {
        var colon = text.LastIndexOf(':');
        var host = colon < 0 ? null : text[..colon] switch
        {
            "" or "*" => IPAddress.IPv6Any,
            "localhost" => IPAddress.Loopback,
            ['[', .. var six, ']'] => IPAddress.TryParse(six, out var address) && address.AddressFamily == AddressFamily.InterNetworkV6 ? address : null,
            var four => IPAddress.TryParse(four, out var address) && address.AddressFamily == AddressFamily.InterNetwork ? address : null,
        };
        if (host is null || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port))
            throw new LockstepException(ErrorCode.BadRequest, $"--listen {text}: write HOST:PORT with an IP address or localhost, or :PORT for all addresses");
        if (host.Equals(IPAddress.IPv6Any) && !Socket.OSSupportsIPv6) host = IPAddress.Any;
        return new IPEndPoint(host, port);
    }

    [LibraryImport("libc", EntryPoint = "dup")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Duplicate(int descriptor);

    [LibraryImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int descriptor);
}
