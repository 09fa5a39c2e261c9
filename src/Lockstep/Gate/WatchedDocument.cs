using Lockstep.Releases;

namespace Lockstep.Gate;

/// <summary>A known document as its watchers find it now.</summary>
/// <param name="Head">What stands before it; a document that can't be served at all is stale here too.</param>
/// <param name="Document">The newest valid one; null when there is none, a secret it needs was deleted, or the repository has not answered for longer than config.maxStale.</param>
internal sealed record WatchedDocument(SnapshotHead Head, Document? Document);
