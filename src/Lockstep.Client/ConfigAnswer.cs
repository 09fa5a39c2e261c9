namespace Lockstep.Client;

/// <summary>The answer to a read of a document.</summary>
public sealed record ConfigAnswer
{
    /// <summary>The document; null when it is what the caller holds already (304).</summary>
    public Snapshot? Snapshot { get; init; }

    /// <summary>The ETag of the document, to send back as <see cref="ConfigQuery.IfNoneMatch"/>.</summary>
    public string? ETag { get; init; }
}
