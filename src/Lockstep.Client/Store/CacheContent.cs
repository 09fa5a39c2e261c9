namespace Lockstep.Client;

/// <summary>What a cache file holds: the document, its ETag within, and the history it is of.</summary>
internal sealed record CacheContent(string Epoch, Snapshot Snapshot)
{
    /// <summary>When a server last confirmed it, as the file that it was read from says.</summary>
    public DateTimeOffset Confirmed { get; init; }
}
