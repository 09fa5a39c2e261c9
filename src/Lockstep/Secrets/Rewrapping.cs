using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Secrets.Embedded;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>
/// Goes through everything that a master key wraps, a few hundred rows a write, and wraps by the new key what the old one opens. What the new one opens is done
/// already: it may be cut short anywhere and begun again. A row that neither opens is left as it is.
/// </summary>
internal sealed class Rewrapping(Database database, RootKey current, RootKey old, Action<string>? stepping)
{
    private const int Rows = 200;

    private int _done;
    private int _damaged;

    public async Task<RekeyResult> RunAsync(CancellationToken cancellationToken)
    {
        await database.WriteAsync(Keys, cancellationToken);
        stepping?.Invoke("batch");
        (string Id, long Version)? after = ("", 0);
        while (after is { } position)
        {
            after = await database.WriteAsync(session => Versions(session, position), cancellationToken);
            stepping?.Invoke("batch");
        }
        return new RekeyResult { Rewrapped = _done, Damaged = _damaged };
    }

    private int Keys(SqlSession session)
    {
        var rows = session.Query("SELECT name, data FROM meta WHERE name LIKE 'key:%' AND data IS NOT NULL ORDER BY name", r => (Name: r.GetString(0), Data: r.Data(1)));
        foreach (var (row, wrapped) in rows)
            if (Wrap(wrapped, KeyRing.Binding(row[KeyRing.Prefix.Length..])) is { } anew) Meta.SetData(session, row, anew);
        return rows.Count;
    }

    // Null at the end. Ids are ordered by their bytes in both databases.
    private (string Id, long Version)? Versions(SqlSession session, (string Id, long Version) after)
    {
        var rows = session.Query(
            $"""
            SELECT id, version, wrapped_key FROM secret_versions
            WHERE (id, version) > (@id, @version) AND wrapped_key IS NOT NULL ORDER BY id, version LIMIT {Rows}
            """,
            r => (Id: r.GetString(0), Version: r.GetInt64(1), Key: r.Data(2)), ("@id", after.Id), ("@version", after.Version));
        foreach (var (id, version, wrapped) in rows)
        {
            // A row that this program did not make is one that neither key opens.
            if (!SecretId.TryParse(id, out var secret) || version is < 1 or > int.MaxValue) _damaged++;
            else if (Wrap(wrapped, EmbeddedStore.KeyBinding(secret, (int)version)) is { } anew)
                session.Execute("UPDATE secret_versions SET wrapped_key = @key WHERE id = @id AND version = @version", ("@key", anew), ("@id", id), ("@version", version));
        }
        return rows.Count < Rows ? null : (rows[^1].Id, rows[^1].Version);
    }

    private byte[]? Wrap(byte[] wrapped, byte[] binding)
    {
        if (Open(current, wrapped, binding) is { } already)
        {
            CryptographicOperations.ZeroMemory(already);
            return null;
        }
        if (Open(old, wrapped, binding) is not { } key)
        {
            _damaged++;
            return null;
        }
        var anew = current.Wrap(key, binding);
        CryptographicOperations.ZeroMemory(key);
        _done++;
        return anew;
    }

    private static byte[]? Open(RootKey key, byte[] wrapped, byte[] binding)
    {
        try
        {
            return key.Unwrap(wrapped, binding);
        }
        catch (CryptographicException)
        {
            return null;
        }
    }
}
