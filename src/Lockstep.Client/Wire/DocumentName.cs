namespace Lockstep.Client;

/// <summary>The three names of a document.</summary>
public sealed record DocumentName
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>The environment, or several joined by commas.</summary>
    public required string Environment { get; init; }

    /// <summary>The label.</summary>
    public required string Label { get; init; }

    /// <inheritdoc/>
    public override string ToString() => $"{Service}/{Environment}@{Label}";
}
