using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Body of <c>PUT /v1/secrets/{id}</c>.</summary>
public sealed record SecretPut
{
    /// <summary>A string, or a JSON object, which is kept as compact text.</summary>
    public required JsonElement Value { get; init; }

    /// <summary>The latest version must be this; 0: the id must not exist yet.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Cas { get; init; }

    /// <summary>The conditions; never the value.</summary>
    public override string ToString() => $"cas {Cas?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "none"}";
}
