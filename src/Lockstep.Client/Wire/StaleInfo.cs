namespace Lockstep.Client;

/// <summary>Why a document is not up to date, and since when.</summary>
public sealed record StaleInfo
{
    /// <summary>When it was last known to be up to date.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>What keeps it from being so.</summary>
    public required string Reason { get; init; }
}
