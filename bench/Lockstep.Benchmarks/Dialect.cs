using System.Net;

namespace Lockstep.Benchmarks;

/// <summary>What watchers of one kind of server say, and how its bytes are cut into messages.</summary>
internal abstract class Dialect(Uri server)
{
    public IPEndPoint Server { get; } = new(IPAddress.Parse(server.Host), server.Port);

    protected string Authority { get; } = server.Authority;

    /// <summary>What a watcher sends as soon as it is connected.</summary>
    public abstract ReadOnlyMemory<byte> Opening { get; }

    /// <summary>Takes the first message off the input, answers it, and sets <see cref="Watcher.Ready"/> when it answers the subscription.</summary>
    /// <param name="watcher">Who hears it.</param>
    /// <param name="input">What has come so far.</param>
    /// <param name="message">What the message says; empty when it says nothing.</param>
    /// <returns>The length of the message; 0 when it is not whole yet.</returns>
    /// <exception cref="WatcherLostException">The server refused or closes.</exception>
    public abstract int Take(Watcher watcher, ReadOnlyMemory<byte> input, out ReadOnlyMemory<byte> message);
}
