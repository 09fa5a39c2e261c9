namespace Lockstep.Client;

/// <summary>A live instance of a document: one that holds a watch connection.</summary>
public sealed record FleetInstance
{
    /// <summary>Its name; null when it gave none.</summary>
    public string? Instance { get; init; }

    /// <summary>The name of its token.</summary>
    public required string Token { get; init; }

    /// <summary>Where it connects from.</summary>
    public string? Address { get; init; }

    /// <summary>Since when it has been watching the document on its present connection.</summary>
    public required DateTimeOffset Connected { get; init; }

    /// <summary>The release it last said it runs on, on this connection; null before it said so.</summary>
    public long? Release { get; init; }

    /// <summary>Since when it runs on it.</summary>
    public DateTimeOffset? Since { get; init; }

    /// <summary>False when it refused the newest document it answered for.</summary>
    public bool Healthy { get; init; }

    /// <summary>Whether what it runs on is the document as it is now.</summary>
    public bool Current { get; init; }

    /// <summary>Why it refused.</summary>
    public string? Reason { get; init; }
}
