namespace Lockstep.Client;

/// <summary>What a <see cref="Watcher"/> tells.</summary>
internal abstract record WatchEvent
{
    private WatchEvent()
    {
    }

    /// <summary>A server is connected, and this is its newest document: a new one, or the old one confirmed.</summary>
    public sealed record Confirmed(Snapshot Snapshot) : WatchEvent;

    /// <summary>A server is connected and has no document for now.</summary>
    public sealed record Waiting(LockstepException Error) : WatchEvent;

    /// <summary>There is no connection; it is tried again.</summary>
    public sealed record Lost(LockstepException Error) : WatchEvent;

    /// <summary>The server said no: unauthenticated, forbidden or bad-request. It is tried again, slowly.</summary>
    public sealed record Refused(LockstepException Error) : WatchEvent;
}
