namespace Lockstep.Client;

/// <summary>A role: what its holders may do, and on what.</summary>
public sealed record RoleInfo
{
    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>Where it is written: <c>built-in</c>, <c>settings</c> or <c>database</c>; only those of the database can be changed by the API.</summary>
    public required string Source { get; init; }

    /// <summary>The permissions, such as <c>config:read</c>.</summary>
    public required IReadOnlyList<string> Permissions { get; init; }

    /// <summary>Globs of services.</summary>
    public required IReadOnlyList<string> Services { get; init; }

    /// <summary>Globs of environments.</summary>
    public required IReadOnlyList<string> Environments { get; init; }

    /// <summary>Globs of secret ids.</summary>
    public required IReadOnlyList<string> Secrets { get; init; }

    /// <summary>Globs of files of the repository.</summary>
    public required IReadOnlyList<string> Paths { get; init; }

    /// <summary>Networks that its holders must come from; empty: any.</summary>
    public required IReadOnlyList<string> Cidrs { get; init; }

    /// <summary>When a role of the database was written last.</summary>
    public DateTimeOffset? UpdatedAt { get; init; }

    /// <summary>By whom it was.</summary>
    public string? UpdatedBy { get; init; }
}
