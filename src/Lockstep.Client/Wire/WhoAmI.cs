using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Who the server takes the caller for (<c>GET /v1/whoami</c>).</summary>
public sealed record WhoAmI
{
    /// <summary>The public id of the token; of a token of an issuer one of its subject there.</summary>
    public required string Id { get; init; }

    /// <summary>The name of the token.</summary>
    public required string Name { get; init; }

    /// <summary>What it may do: everything that one of these permits.</summary>
    public required IReadOnlyList<RoleHeld> Roles { get; init; }

    /// <summary>The issuer of the token, where it was not this server.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Issuer { get; init; }

    /// <summary>The id of the token that this one was derived from; it may do no more than that one.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Parent { get; init; }

    /// <summary>When the token ends by itself; null: never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }
}
