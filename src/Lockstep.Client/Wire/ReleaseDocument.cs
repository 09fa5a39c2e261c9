using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A document that a release changed.</summary>
public sealed record ReleaseDocument
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>The environment, or several joined by commas.</summary>
    public required string Environment { get; init; }

    /// <summary>The label.</summary>
    public required string Label { get; init; }

    /// <summary>The keys that were added, removed or changed, sorted; empty when it became invalid.</summary>
    public IReadOnlyList<string> Keys { get; init => field = value ?? []; } = [];

    /// <summary>Whether it resolves since then; if not, what it was before is served.</summary>
    public bool Valid { get; init; }

    /// <summary>Why it does not resolve; null when it does.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Service}/{Environment}@{Label}";
}
