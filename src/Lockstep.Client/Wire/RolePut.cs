using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Body of <c>PUT /v1/roles/{name}</c>. What is left out is as in the settings: services and environments <c>*</c>, secrets <c>**</c>, any network, and
/// paths <c>**</c> only when services and environments are both <c>*</c>.</summary>
public sealed record RolePut
{
    /// <summary>The permissions, such as <c>config:read</c>; at least one.</summary>
    public required IReadOnlyList<string> Permissions { get; init; }

    /// <summary>Globs of the services they hold for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Services { get; init; }

    /// <summary>Globs of the environments they hold for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Environments { get; init; }

    /// <summary>Globs of the secret ids they hold for.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Secrets { get; init; }

    /// <summary>Networks that its holders must come from, such as <c>10.0.0.0/8</c>.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Cidrs { get; init; }

    /// <summary>Globs of files of the repository.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public IReadOnlyList<string>? Paths { get; init; }
}
