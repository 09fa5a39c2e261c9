using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>
/// Body of <c>POST /v1/tokens/derive</c>: a token that dies with the caller's own, when that is rolled, revoked or expires. What is left out is as the caller's own token has it;
/// it never permits more than that does.
/// </summary>
public sealed record TokenDerive
{
    /// <summary>The rest of its name, which is the caller's, a dot, and this; null: random letters.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    /// <summary>The role.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Role { get; init; }

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

    /// <summary>How long it lives; null: an hour; at most 32 days.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TimeSpan? ExpiresIn { get; init; }

    /// <summary>For how long it can be kept alive by <c>POST /v1/tokens/renew</c>, at most 32 days; null: it can't be renewed.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public TimeSpan? RenewableFor { get; init; }
}
