namespace Lockstep.Client;

/// <summary>A token that was created or rolled. This is the only time its text is shown.</summary>
public sealed record TokenCreated
{
    /// <summary>The public id, which stays the same over a roll.</summary>
    public required string Id { get; init; }

    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>The token itself, <c>lks_…</c>.</summary>
    public required string Token { get; init; }

    /// <summary>When it ends by itself; null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>Name and id; never the token.</summary>
    public override string ToString() => $"{Name} ({Id})";
}
