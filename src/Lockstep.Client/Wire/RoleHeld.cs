using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A role that the caller has, as its token narrows it.</summary>
public sealed record RoleHeld
{
    /// <summary>The role.</summary>
    public required string Role { get; init; }

    /// <summary>The rule of the settings that gives it to a token of an issuer; null: the token names the role.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Rule { get; init; }

    /// <summary>The permissions, such as <c>config:read</c>.</summary>
    public required IReadOnlyList<string> Permissions { get; init; }

    /// <summary>Globs of the services they hold for.</summary>
    public required IReadOnlyList<string> Services { get; init; }

    /// <summary>Globs of the environments they hold for.</summary>
    public required IReadOnlyList<string> Environments { get; init; }

    /// <summary>Globs of the secret ids they hold for.</summary>
    public required IReadOnlyList<string> Secrets { get; init; }
}
