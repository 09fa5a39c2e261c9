using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets.Embedded;

/// <summary>
/// Secrets encrypted in Lockstep's own database: each version under a data key of its own, which the master key wraps. Numbers of versions
/// are never used twice: what is written to a deleted or purged id goes on where it ended, and takes the mark of deletion away.
/// <para>Callers prepare and persist one change after the other; when something came between all the same, Persist throws conflict.</para>
/// </summary>
internal sealed class EmbeddedStore(Database database, MasterKey masterKey, TimeProvider time) : ISecretStore, IStaging, ISoftDelete, ICheckAndSet
{
    /// <summary>The longest value, in bytes of UTF-8.</summary>
    public const int MaxValueBytes = 64 * 1024;

    public async Task<SecretValue> ReadAsync(SecretId id, int version, CancellationToken cancellationToken)
    {
        // A change of the master key may have ended between the row and its opening: once more, the row is wrapped anew.
        if (await TryReadAsync(id, version, cancellationToken) is { } value) return value;
        return await TryReadAsync(id, version, cancellationToken) ?? throw new LockstepException(ErrorCode.Internal,
            Text($"version {version} of the secret {id} does not decrypt: its row was changed or moved by somebody else. Restore it from a backup, or write the value again"));
    }

    public Task<IReadOnlyDictionary<SecretId, int>> HeadsAsync(IReadOnlyCollection<SecretId> ids, CancellationToken cancellationToken) =>
        database.ReadAsync<IReadOnlyDictionary<SecretId, int>>(session =>
        {
            var heads = new Dictionary<SecretId, int>();
            foreach (var id in ids)
                if (SecretCatalog.Latest(session, id) is { } latest) heads[id] = latest;
            return heads;
        }, cancellationToken);

    public async Task<PreparedWrite> WriteAsync(SecretWrite write, int? cas, CancellationToken cancellationToken)
    {
        CheckSize(write);
        var head = await database.ReadAsync(s => HeadOf(s, write.Id), cancellationToken);
        var actual = head is { Deleted: false } ? head.Latest : 0;
        if (cas is { } expected && expected != actual)
            throw new LockstepException(ErrorCode.PreconditionFailed, Text($"the secret {write.Id} is at version {actual}, not {expected} as cas says (0: it does not exist). Read it again and repeat"));
        var version = (head?.Latest ?? 0) + 1;
        var row = Seal(write.Value, write.Id, version);
        return new PreparedWrite(version, session => Persist(session, write, head, version, row));
    }

    public async Task<PreparedWrite> DeleteAsync(SecretId id, CancellationToken cancellationToken)
    {
        var head = await database.ReadAsync(s => HeadOf(s, id), cancellationToken);
        if (head is not { Deleted: false }) throw Missing(id);
        return new PreparedWrite(head.Latest, session =>
        {
            CheckHead(session, id, head);
            session.Execute("UPDATE secrets SET deleted_at = @at WHERE id = @id", ("@id", id.Value), ("@at", Now()));
        });
    }

    public async Task<PreparedWrite> RestoreAsync(SecretId id, CancellationToken cancellationToken)
    {
        var head = await database.ReadAsync(s => HeadOf(s, id), cancellationToken);
        if (head is null || head.Purged) throw Missing(id);
        if (!head.Deleted) throw new LockstepException(ErrorCode.Conflict, $"the secret {id} is not deleted; there is nothing to restore");
        return new PreparedWrite(head.Latest, session =>
        {
            CheckHead(session, id, head);
            session.Execute("UPDATE secrets SET deleted_at = NULL WHERE id = @id", ("@id", id.Value));
        });
    }

    public async Task<PreparedWrite> PurgeAsync(SecretId id, CancellationToken cancellationToken)
    {
        var head = await database.ReadAsync(s => HeadOf(s, id), cancellationToken);
        if (head is null || head.Purged) throw Missing(id);
        return new PreparedWrite(head.Latest, session =>
        {
            CheckHead(session, id, head);
            // The rows stay, empty: their numbers must not come to mean something else.
            session.Execute(
                "UPDATE secret_versions SET state = 'destroyed', destroyed_at = @at, wrapped_key = NULL, ciphertext = NULL WHERE id = @id AND state <> 'destroyed'",
                ("@id", id.Value), ("@at", Now()));
            session.Execute("UPDATE secrets SET deleted_at = COALESCE(deleted_at, @at) WHERE id = @id", ("@id", id.Value), ("@at", Now()));
        });
    }

    /// <summary>What the wrapping of a version's data key is bound to.</summary>
    public static byte[] KeyBinding(SecretId id, int version) => Binding("data key", id, version);

    private async Task<SecretValue?> TryReadAsync(SecretId id, int version, CancellationToken cancellationToken)
    {
        var row = await database.ReadAsync(s => s.First(
            """
            SELECT wrapped_key, ciphertext FROM secret_versions
            WHERE id = @id AND version = @version AND state <> 'destroyed' AND ciphertext IS NOT NULL
            """,
            r => new Sealed(r.Data(0), r.Data(1)), ("@id", id.Value), ("@version", version)), cancellationToken);
        if (row is null) throw new LockstepException(ErrorCode.NotFound, Text($"version {version} of the secret {id} does not exist, or it was destroyed"));
        try
        {
            return Open(row, id, version);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }

    private void Persist(SqlSession session, SecretWrite write, Head? head, int version, Prepared row)
    {
        CheckHead(session, write.Id, head);
        // Here and not before: what is wrapped in a write is found by a change of the master key.
        if (!row.DataKey.AsSpan().ContainsAnyExcept((byte)0)) throw new InvalidOperationException("A prepared write is persisted once.");
        var wrapped = masterKey.Wrap(row.DataKey, KeyBinding(write.Id, version));
        CryptographicOperations.ZeroMemory(row.DataKey);
        // A deleted secret that is written again does not bring its old active version back to life.
        if (head is { Deleted: true } || (head is not null && !write.Staged)) SecretCatalog.Supersede(session, write.Id);
        session.Execute(
            """
            INSERT INTO secrets (id, mount, latest, created_at, created_by) VALUES (@id, @mount, @version, @at, @by)
            ON CONFLICT (id) DO UPDATE SET latest = excluded.latest, deleted_at = NULL
            """,
            ("@id", write.Id.Value), ("@mount", SecretMounts.Embedded), ("@version", version), ("@at", Now()), ("@by", write.Actor));
        session.Execute(
            """
            INSERT INTO secret_versions (id, version, state, wrapped_key, ciphertext, created_at, created_by)
            VALUES (@id, @version, @state, @key, @ciphertext, @at, @by)
            """,
            ("@id", write.Id.Value), ("@version", version), ("@state", write.Staged ? "staged" : "active"), ("@key", wrapped), ("@ciphertext", row.Ciphertext), ("@at", Now()), ("@by", write.Actor));
    }

    private static Prepared Seal(SecretValue value, SecretId id, int version)
    {
        var key = RandomNumberGenerator.GetBytes(32);
        return new Prepared(key, value.Seal(bytes => Envelope.Seal(key, bytes, Binding("value", id, version))));
    }

    private SecretValue Open(Sealed row, SecretId id, int version)
    {
        var key = masterKey.Unwrap(row.WrappedKey, KeyBinding(id, version));
        byte[] bytes = [];
        try
        {
            bytes = Envelope.Open(key, row.Ciphertext, Binding("value", id, version));
            return SecretValue.OfBytes(bytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    // No part can hold a NUL, so no two (purpose, id, version) read alike.
    private static byte[] Binding(string purpose, SecretId id, int version) => Encoding.UTF8.GetBytes(Text($"lockstep/secret {purpose}\0{id}\0{version}"));

    private static void CheckSize(SecretWrite write)
    {
        int bytes;
        try
        {
            bytes = write.Value.ByteCount;
        }
        catch (EncoderFallbackException)
        {
            // Without the inner exception, which quotes the text.
            throw new LockstepException(ErrorCode.BadRequest, $"the value of the secret {write.Id} is not valid Unicode text; send binary data as base64");
        }
        if (bytes > MaxValueBytes)
            throw new LockstepException(ErrorCode.TooLarge, Text($"the value of the secret {write.Id} has {bytes} bytes; the most is {MaxValueBytes}. Split it, or keep a key to it here"));
    }

    private static Head? HeadOf(SqlSession session, SecretId id) => session.First(
        """
        SELECT s.latest, s.deleted_at, (SELECT 1 FROM secret_versions v WHERE v.id = s.id AND v.state <> 'destroyed' LIMIT 1)
        FROM secrets s WHERE s.id = @id
        """,
        r => new Head((int)r.GetInt64(0), !r.IsDBNull(1), r.IsDBNull(2)), ("@id", id.Value));

    private static void CheckHead(SqlSession session, SecretId id, Head? prepared)
    {
        if (HeadOf(session, id) != prepared)
            throw new LockstepException(ErrorCode.Conflict, $"the secret {id} was changed by somebody else at the same time; nothing was written. Read it again and repeat");
    }

    private static LockstepException Missing(SecretId id) => new(ErrorCode.NotFound, $"the secret {id} does not exist, or it was deleted or destroyed");

    private long Now() => time.GetUtcNow().ToUnixTimeMilliseconds();

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private sealed record Sealed(byte[] WrappedKey, byte[] Ciphertext);

    // Its data key is cleared once it is wrapped, so it is written once.
    private sealed record Prepared(byte[] DataKey, byte[] Ciphertext);

    private sealed record Head(int Latest, bool Deleted, bool Purged);
}
