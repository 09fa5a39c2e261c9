using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/tokens</c>. What is left out is not narrowed: the token gets what its role gives, never more than its creator holds.</summary>
public sealed record TokenCreate
{
    /// <summary>The name; unique among live tokens.</summary>
    public required string Name { get; init; }

    /// <summary>The role.</summary>
    public required string Role { get; init; }

    /// <summary>Globs of the services it is narrowed to.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Globs of the environments it is narrowed to.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Globs of the secret ids it is narrowed to.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>Networks it may be used from, such as <c>10.0.0.0/8</c>.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>How long it lives, a duration such as <c>24h</c>; null: until it is revoked.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TimeSpan? ExpiresIn { get; init; }
}
