namespace Lockstep.Settings;

/// <summary>A role as the settings write it (<c>access.roles.NAME</c>); a list that is absent takes its default.</summary>
internal sealed record RoleOptions
{
    public required string Name { get; init; }

    /// <summary>Permissions by name, such as <c>config:read</c>.</summary>
    public IReadOnlyList<string> Permissions { get; init; } = [];

    /// <summary>Globs; default <c>*</c>.</summary>
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Globs; default <c>*</c>.</summary>
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Globs over secret ids; default <c>**</c>.</summary>
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>Globs over files of the repository; default <c>**</c> when services and environments are unlimited, else none.</summary>
    public IReadOnlyList<string>? Paths { get; init; }

    /// <summary>Networks the caller must come from; default: any.</summary>
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>Where it is written, for messages.</summary>
    public string? File { get; init; }

    /// <summary>Where it is written, for messages.</summary>
    public int? Line { get; init; }
}
