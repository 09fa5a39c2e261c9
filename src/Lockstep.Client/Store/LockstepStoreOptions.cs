namespace Lockstep.Client;

/// <summary>What a <see cref="LockstepStore"/> holds and how.</summary>
public sealed record LockstepStoreOptions
{
    /// <summary>The servers and the token.</summary>
    public required LockstepClientOptions Client { get; init; }

    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>The environment, or several joined by commas.</summary>
    public required string Environment { get; init; }

    /// <summary>A Git branch or tag; null: the tracked branch.</summary>
    public string? Label { get; init; }

    /// <summary>Where the newest document is kept, encrypted under a key derived from the token, for a start while no server answers; null: nowhere.</summary>
    public string? CacheFile { get; init; }

    /// <summary>The age past which a cache file is refused; default 24 hours.</summary>
    public TimeSpan CacheMaxAge { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long <see cref="LockstepStore.OpenAsync"/> may take as a whole, the token included, before it fails; default 10 seconds. With a cache file that can be used it
    /// does not wait so long: that is taken as soon as each of the servers has failed once, and after 2 seconds when one of them leaves it waiting.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Whether the application itself says when it runs on a document (<see cref="LockstepStore.ReportApplied"/>); otherwise that is said when the handlers of <see cref="LockstepStore.Changed"/> have returned.</summary>
    public bool ReportsByHand { get; init; }

    internal WatchTiming Timing { get; init; } = WatchTiming.Default;

    /// <summary>The document's names; never the token.</summary>
    public override string ToString() => $"{Service}/{Environment}{(Label is null ? "" : "@" + Label)}";
}
