using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>Where secret values live: the embedded store, or a system mounted at a path prefix (the seam for those; there is one store so far). Versions are integers from 1.</summary>
internal interface ISecretStore
{
    /// <summary>
    /// The value of one version. A store may still answer for an id that is softly deleted, so that a restore can be tried before it is made: that a deleted
    /// secret is served nowhere follows from its having no active version.
    /// </summary>
    /// <exception cref="Lockstep.Client.LockstepException">not-found when it does not exist (any more), unavailable when the store does not answer.</exception>
    Task<SecretValue> ReadAsync(SecretId id, int version, CancellationToken cancellationToken);

    /// <summary>The newest version of each id; ids that do not exist are left out.</summary>
    Task<IReadOnlyDictionary<SecretId, int>> HeadsAsync(IReadOnlyCollection<SecretId> ids, CancellationToken cancellationToken);

    /// <summary>
    /// Writes a new version. A remote store writes at once and returns its number; the embedded store returns the statements that
    /// write it in <see cref="PreparedWrite.Persist"/>, to run in the transaction that records the release and the audit entry.
    /// <paramref name="cas"/>: the newest version must be this (0: the id must not exist), else precondition-failed.
    /// </summary>
    Task<PreparedWrite> WriteAsync(SecretWrite write, int? cas, CancellationToken cancellationToken);
}

/// <summary>A store whose new versions can wait unused until they are activated, and that can point back at an older one.</summary>
internal interface IStaging;

/// <summary>A store where a deleted id can be brought back.</summary>
internal interface ISoftDelete
{
    /// <summary>Marks the id deleted; its versions stay until they are purged.</summary>
    Task<PreparedWrite> DeleteAsync(SecretId id, CancellationToken cancellationToken);

    /// <summary>Takes the mark away.</summary>
    Task<PreparedWrite> RestoreAsync(SecretId id, CancellationToken cancellationToken);

    /// <summary>Destroys every version for good, deleted before or not. The numbers are not used again.</summary>
    Task<PreparedWrite> PurgeAsync(SecretId id, CancellationToken cancellationToken);
}

/// <summary>A store that compares the newest version itself when it writes.</summary>
internal interface ICheckAndSet;

internal sealed record SecretWrite(SecretId Id, SecretValue Value, string Actor, bool Staged);

/// <summary>What a write came to: the version, and what is left to do in the recording transaction.</summary>
internal sealed record PreparedWrite(int Version, Action<SqlSession>? Persist);
