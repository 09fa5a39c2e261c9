namespace Lockstep.Secrets;

/// <summary>What is known of a secret but its value.</summary>
internal sealed record SecretInfo
{
    public required SecretId Id { get; init; }

    public required string Mount { get; init; }

    /// <summary>The number of the newest version.</summary>
    public required int Latest { get; init; }

    /// <summary>The number of the active version; null while all are staged.</summary>
    public required int? Active { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    /// <summary>Set while the secret is soft-deleted.</summary>
    public required DateTimeOffset? DeletedAt { get; init; }

    /// <summary>The newest first; may be cut.</summary>
    public IReadOnlyList<SecretVersionInfo> Versions { get; init; } = [];
}

/// <summary>One version of a secret.</summary>
internal sealed record SecretVersionInfo
{
    public required int Version { get; init; }

    /// <summary>One of <see cref="SecretState"/>.</summary>
    public required string State { get; init; }

    /// <summary>A mounted store's own name for it.</summary>
    public required string? StoreVersion { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required string CreatedBy { get; init; }

    public required DateTimeOffset? DestroyedAt { get; init; }
}

/// <summary>Which secrets to list: ids that start with <paramref name="Prefix"/>, match <paramref name="Filter"/> somewhere, and come after <paramref name="After"/>.</summary>
internal sealed record SecretQuery(string? Prefix = null, string? Filter = null, string? After = null, int Limit = 100);

/// <summary><paramref name="Next"/> is the <c>After</c> of the next page, null at the end. A page may be short, or empty, and yet have a next one.</summary>
internal sealed record SecretPage(IReadOnlyList<SecretInfo> Items, string? Next);
