namespace Lockstep.Client;

/// <summary>What a write of a secret came to.</summary>
public sealed record SecretWritten
{
    /// <summary>The id.</summary>
    public required string Id { get; init; }

    /// <summary>The version written or made active.</summary>
    public required int Version { get; init; }

    /// <summary>The release that made it active; null when it is staged only.</summary>
    public long? Release { get; init; }
}
