namespace Lockstep.Client;

/// <summary>A place where a chain of the record does not fit.</summary>
public sealed record AuditBreak
{
    /// <summary>The node whose chain it is.</summary>
    public required string Node { get; init; }

    /// <summary>The place in that chain.</summary>
    public required long Seq { get; init; }

    /// <summary>What is wrong there: edited, missing, or cut off.</summary>
    public required string Reason { get; init; }
}
