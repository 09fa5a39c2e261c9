namespace Lockstep.Push;

/// <summary>How frames leave: a WebSocket, or an answer of server-sent events.</summary>
internal interface IWatchConnection
{
    /// <summary>Sends one frame; completes when the network has taken it up. Never called twice at once.</summary>
    ValueTask SendAsync(ServerFrame frame, CancellationToken cancellationToken);

    /// <summary>Says that nothing more comes, and why.</summary>
    ValueTask CloseAsync(WatchClose close, CancellationToken cancellationToken);

    /// <summary>Ends it at once.</summary>
    void Abort();
}

/// <summary>Why a connection is closed: a WebSocket close code and words for people.</summary>
internal sealed record WatchClose(int Code, string Reason)
{
    public static readonly WatchClose BadFrames = new(1008, "too many frames that make no sense");
    public static readonly WatchClose TooLong = new(1009, "the frame is longer than maxFrame");
    public static readonly WatchClose Restarting = new(1012, "the server is stopping");
    public static readonly WatchClose Behind = new(1012, "this server has not reached that release yet");
    public static readonly WatchClose TokenEnded = new(4401, "the token is not valid (any more)");
    public static readonly WatchClose OtherPermissions = new(1012, "what the token may do has changed");
    public static readonly WatchClose NotAllowed = new(4403, "the token may not read any config");
    public static readonly WatchClose NoRoom = new(1013, "there is no room for another watcher: try later");
    public static readonly WatchClose NoHello = new(1008, "the first frame must be a hello");
    public static readonly WatchClose TooSlow = new(4408, "frames are not taken up");
    public static readonly WatchClose Ended = new(1000, "");
}
