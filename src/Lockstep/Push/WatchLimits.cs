namespace Lockstep.Push;

/// <summary>The bounds on what watchers may take.</summary>
internal static class WatchLimits
{
    /// <summary>Connections in all; the listener keeps the rest of its own for calls.</summary>
    public const int MaxWatchers = 16_000;

    /// <summary>Connections of one token, so that one that is stolen or runs wild leaves room for the others.</summary>
    public const int MaxWatchersOfToken = 12_000;

    /// <summary>Connections that have not shown a token yet.</summary>
    public const int MaxUnauthenticated = 256;

    /// <summary>Subscriptions of one connection.</summary>
    public const int MaxSubscriptions = 256;

    /// <summary>Subscriptions in all.</summary>
    public const int MaxSubscriptionsInAll = 200_000;

    /// <summary>Documents that are watched, and their bytes: fewer than may be known, so that others can still be read.</summary>
    public const int MaxDocuments = 8_000;

    public const long MaxDocumentBytes = 192L * 1024 * 1024;

    /// <summary>Documents that are watched and do not exist; each of them is looked for at every release.</summary>
    public const int MaxAwaited = 1_000;

    /// <summary>The longest frame a client may send, in bytes.</summary>
    public const int MaxFrame = 64 * 1024;

    /// <summary>Frames that make no sense before the connection is closed.</summary>
    public const int MaxBadFrames = 3;

    public static readonly TimeSpan Ping = TimeSpan.FromSeconds(20);

    /// <summary>From the upgrade to <c>hello</c>.</summary>
    public static readonly TimeSpan Hello = TimeSpan.FromSeconds(5);

    /// <summary>How long a subscription waits for a release that this server has not seen.</summary>
    public static readonly TimeSpan Behind = TimeSpan.FromSeconds(5);

    /// <summary>How long one frame may take to be taken up by the network.</summary>
    public static readonly TimeSpan Slow = TimeSpan.FromSeconds(30);

    /// <summary>From the closing frame to the end of the connection.</summary>
    public static readonly TimeSpan Closing = TimeSpan.FromSeconds(2);
}
