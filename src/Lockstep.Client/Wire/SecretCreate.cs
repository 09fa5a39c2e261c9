using System.Text.Json;

namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/secrets</c>.</summary>
public sealed record SecretCreate
{
    /// <summary>The id; it must not exist.</summary>
    public required string Id { get; init; }

    /// <summary>A string, or a JSON object, which is kept as compact text.</summary>
    public required JsonElement Value { get; init; }

    /// <summary>The id; never the value.</summary>
    public override string ToString() => Id;
}
