namespace Lockstep.Client;

/// <summary>What is known of a secret without its value.</summary>
public sealed record SecretMetadata
{
    /// <summary>The id.</summary>
    public required string Id { get; init; }

    /// <summary>The mount it lives in; <c>embedded</c>: Lockstep's own store.</summary>
    public string? Mount { get; init; }

    /// <summary>The active version; null while there is none (only staged ones).</summary>
    public int? Active { get; init; }

    /// <summary>The versions, newest first: at most 1000, 10 in a list.</summary>
    public IReadOnlyList<SecretVersion> Versions { get; init => field = value ?? []; } = [];

    /// <summary>Who holds its lock; null when it is free. Always null so far: there are no locks yet.</summary>
    public LockInfo? Lock { get; init; }

    /// <summary>The value as a JWE compact string sealed to the key the caller sent; null when none was sent or the caller may not see it.</summary>
    public string? Value { get; init; }
}
