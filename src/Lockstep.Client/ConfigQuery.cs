namespace Lockstep.Client;

/// <summary>Which state of a document is asked for; nothing set: the newest one of the tracked branch.</summary>
public sealed record ConfigQuery
{
    /// <summary>A Git branch, tag or commit.</summary>
    public string? Label { get; init; }

    /// <summary>A release of the past.</summary>
    public long? Release { get; init; }

    /// <summary>The ETag of what the caller holds; the answer is empty when that is still it.</summary>
    public string? IfNoneMatch { get; init; }
}
