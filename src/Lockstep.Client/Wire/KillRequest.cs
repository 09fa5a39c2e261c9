using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/kill</c>: which tokens end now. Services and environments narrow it together; at least one member is given.</summary>
public sealed record KillRequest
{
    /// <summary>Tokens that could be used for one of these services.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Tokens that could be used in one of these environments.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Tokens that this issuer issued up to now.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Issuer { get; init; }

    /// <summary>Of the issuer's tokens those of this subject.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Subject { get; init; }

    /// <summary>Every token but the caller's; nothing else may be given then.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool All { get; init; }

    /// <summary>Only tells which tokens would end.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool DryRun { get; init; }
}
