using System.Collections.Immutable;
using Lockstep.Config;

namespace Lockstep.Releases;

/// <summary>What readers see: the newest release and every known document at it. One immutable object, swapped whole.</summary>
/// <param name="Release">The newest release.</param>
/// <param name="Documents">The known documents.</param>
/// <param name="Stale">Since when and why the remote repository has not answered.</param>
internal sealed record LiveState(ReleaseState Release, ImmutableDictionary<DocumentKey, DocumentState> Documents, Staleness? Stale);

internal sealed record Staleness(DateTimeOffset Since, string Reason);

/// <summary>One known document at the newest release.</summary>
/// <param name="Resolution">What it resolves to now, valid or not.</param>
/// <param name="Current">The newest valid document; null when it never was valid.</param>
/// <param name="Invalid">Where <paramref name="Current"/> stands when the document is invalid now; null when it is valid or never was.</param>
/// <param name="Usage">When it was last served; shared by all states of the document.</param>
internal sealed record DocumentState(
    Resolution Resolution, Document? Current, InvalidState? Invalid, DocumentUsage Usage);

/// <summary>A document that does not resolve now: the newest release at which it did, its commit and pin there, and since when it does not.</summary>
internal sealed record InvalidState(long ValidAt, string Commit, long? Pinned, DateTimeOffset Since);

/// <summary>When a document was last served, for keeping known documents 30 days.</summary>
internal sealed class DocumentUsage(long lastServedAt)
{
    private long _lastServedAt = lastServedAt;

    /// <summary>Whether the settings list it, so that it is known for good.</summary>
    public bool IsListed { get; init; }

    /// <summary>Unix milliseconds.</summary>
    public long LastServedAt
    {
        get => Volatile.Read(ref _lastServedAt);
        set => Volatile.Write(ref _lastServedAt, value);
    }
}
