namespace Lockstep.Client;

/// <summary>The lock of a secret while somebody holds it.</summary>
public sealed record LockInfo
{
    /// <summary>The name of the token that took it.</summary>
    public required string Holder { get; init; }

    /// <summary>When it was taken.</summary>
    public required DateTimeOffset Since { get; init; }

    /// <summary>When it frees itself.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }
}
