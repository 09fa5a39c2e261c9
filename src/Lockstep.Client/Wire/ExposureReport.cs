using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>What tokens, and the tokens derived from them, were given, by the record: <c>{"items":[…]}</c>, sorted by secret and version.</summary>
public sealed record ExposureReport
{
    /// <summary>One for each version of a secret.</summary>
    public required IReadOnlyList<ExposedSecret> Items { get; init; }

    /// <summary>Whether there is more than is listed.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool Truncated { get; init; }
}
