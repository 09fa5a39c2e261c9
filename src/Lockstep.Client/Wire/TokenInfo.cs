namespace Lockstep.Client;

/// <summary>What is known of a service token; its text is not kept anywhere. A null list is not narrowed.</summary>
public sealed record TokenInfo
{
    /// <summary>The public id.</summary>
    public required string Id { get; init; }

    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>The role.</summary>
    public required string Role { get; init; }

    /// <summary>Globs of the services it is narrowed to.</summary>
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Globs of the environments it is narrowed to.</summary>
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Globs of the secret ids it is narrowed to.</summary>
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>Networks it may be used from.</summary>
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>When it was created.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>The name of the token that created it.</summary>
    public required string CreatedBy { get; init; }

    /// <summary>When it ends by itself; null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>When it was revoked; null: it was not.</summary>
    public DateTimeOffset? RevokedAt { get; init; }

    /// <summary>When it was accepted last, to the second (after a restart of the server to five minutes); null: never.</summary>
    public DateTimeOffset? LastUsedAt { get; init; }

    /// <summary>The id of the token that it was derived from and dies with; null: of none.</summary>
    public string? Parent { get; init; }

    /// <summary>Until when it can be renewed; null: it can't.</summary>
    public DateTimeOffset? RenewableUntil { get; init; }
}
