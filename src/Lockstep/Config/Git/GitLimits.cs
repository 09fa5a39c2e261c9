namespace Lockstep.Config.Git;

/// <summary>What git may take: time, bytes, numbers.</summary>
internal sealed record GitLimits
{
    public static GitLimits Default { get; } = new();

    /// <summary>One fetch into a mirror that exists.</summary>
    public TimeSpan Fetch { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The fetch at the start, when what was fetched before can be served meanwhile.</summary>
    public TimeSpan StartFetch { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The first fetch, which brings the whole history.</summary>
    public TimeSpan FirstFetch { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>By how much one fetch may grow the mirror.</summary>
    public long FetchBytes { get; init; } = 2L * 1024 * 1024 * 1024;

    /// <summary>What one push may bring, packed.</summary>
    public long PushBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>What a fetch may ask with, unpacked.</summary>
    public long AskBytes { get; init; } = 32L * 1024 * 1024;

    /// <summary>One clone, fetch or push of a client.</summary>
    public TimeSpan Serve { get; init; } = TimeSpan.FromMinutes(15);

    /// <summary>Clones and fetches of clients at once.</summary>
    public int FetchesAtOnce { get; init; } = 16;

    /// <summary>Pushes of clients at once.</summary>
    public int PushesAtOnce { get; init; } = 8;

    /// <summary>Of either, those of one token.</summary>
    public int PerToken { get; init; } = 4;

    /// <summary>How long a client waits for its turn before it is sent away.</summary>
    public TimeSpan Turn { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Any other git command.</summary>
    public TimeSpan Command { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Packing what has gathered.</summary>
    public TimeSpan Maintenance { get; init; } = TimeSpan.FromMinutes(30);

    /// <summary>Standard output of one command; the listing of a million files fits.</summary>
    public int OutputBytes { get; init; } = 192 * 1024 * 1024;

    /// <summary>A diff beyond this is read as a whole tree instead.</summary>
    public int DiffBytes { get; init; } = 32 * 1024 * 1024;

    /// <summary>Branches and tags of one repository.</summary>
    public int Refs { get; init; } = 20_000;

    /// <summary>Branches and tags up to which a push may create more: far from where they are no longer served.</summary>
    public int PushedRefs { get; init; } = 10_000;

    /// <summary>Reads of objects under way at once.</summary>
    public int ObjectsInFlight { get; init; } = 256;

    /// <summary>How long one object may take.</summary>
    public TimeSpan Object { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Content over a reader's limit is read past up to this size; beyond it the process is started afresh.</summary>
    public long SkipBytes { get; init; } = 32L * 1024 * 1024;
}
