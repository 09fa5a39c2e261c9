using System.Data.Common;
using System.Globalization;
using System.Text.RegularExpressions;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>What the tables say of secrets of every mount; values are none of its business. Works in a read and inside a write alike.</summary>
internal static class SecretCatalog
{
    public const int MaxLimit = 1000;
    public const int MaxFilterLength = 256;

    private const int VersionsPerListedItem = 10;
    // A page ends after so many ids were looked at, so that a filter that matches nothing stays a short read.
    private const int MaxScan = 20_000;
    private const int Batch = 500;
    // A match takes time linear in the text, but a hostile pattern's may be long: the page ends then, too.
    private static readonly TimeSpan s_filterTime = TimeSpan.FromSeconds(1);

    private const string Columns =
        "s.id, s.mount, s.latest, (SELECT MAX(v.version) FROM secret_versions v WHERE v.id = s.id AND v.state = 'active'), s.created_at, s.created_by, s.deleted_at";

    /// <summary>The secret, also when it is soft-deleted (<see cref="SecretInfo.DeletedAt"/>); null when there is none or it was purged.</summary>
    public static SecretInfo? Get(SqlSession session, SecretId id, int maxVersions = MaxLimit)
    {
        var info = session.First(
            $"SELECT {Columns} FROM secrets s WHERE s.id = @id AND EXISTS (SELECT 1 FROM secret_versions v WHERE v.id = s.id AND v.state <> 'destroyed')",
            ReadInfo, ("@id", id.Value));
        return info is null ? null : info with { Versions = Versions(session, id, maxVersions) };
    }

    /// <summary>Whether the secret exists and is not deleted.</summary>
    public static bool Exists(SqlSession session, SecretId id) => Latest(session, id) is not null;

    /// <summary>The number of the newest version; null when the secret does not exist or is deleted.</summary>
    public static int? Latest(SqlSession session, SecretId id) => (int?)session.First(
        "SELECT latest FROM secrets WHERE id = @id AND deleted_at IS NULL", r => r.NumberOrNull(0), ("@id", id.Value));

    /// <summary>The number of the active version; null when there is none, or the secret does not exist or is deleted.</summary>
    public static int? Active(SqlSession session, SecretId id) => (int?)session.First(
        "SELECT MAX(v.version) FROM secret_versions v JOIN secrets s ON s.id = v.id WHERE v.id = @id AND v.state = 'active' AND s.deleted_at IS NULL",
        r => r.NumberOrNull(0), ("@id", id.Value));

    /// <summary>The secrets that are not deleted and that <paramref name="visible"/> accepts, in the order of their ids' bytes, each with its newest versions.</summary>
    /// <exception cref="LockstepException">bad-request for a filter, prefix, after or limit that can't be used.</exception>
    public static SecretPage List(SqlSession session, SecretQuery query, Func<SecretId, bool> visible, CancellationToken cancellationToken)
    {
        if (query.Limit is < 1 or > MaxLimit)
            throw new LockstepException(ErrorCode.BadRequest, string.Create(CultureInfo.InvariantCulture, $"limit must be between 1 and {MaxLimit}."));
        var prefix = IdText("prefix", query.Prefix);
        var after = IdText("after", query.After);
        var filter = Compile(query.Filter);
        var items = new List<SecretInfo>();
        var begun = TimeProvider.System.GetTimestamp();
        for (var scanned = 0; scanned < MaxScan; scanned += Batch)
        {
            cancellationToken.ThrowIfCancellationRequested();
            // Ids are ASCII, so 0x7F comes after everything that can follow the prefix.
            var rows = session.Query(
                $"SELECT {Columns} FROM secrets s WHERE s.id > @after AND s.id >= @prefix AND s.id < @end AND s.deleted_at IS NULL ORDER BY s.id LIMIT @batch",
                ReadInfo, ("@after", after), ("@prefix", prefix), ("@end", prefix + "\x7f"), ("@batch", Batch));
            foreach (var row in rows)
            {
                // Only now is it known that there is one more: a page that ends with the last one has no next.
                if (items.Count == query.Limit || (filter is not null && TimeProvider.System.GetElapsedTime(begun) > s_filterTime)) return new(items, after);
                after = row.Id.Value;
                if (visible(row.Id) && (filter is null || IsMatch(filter, after))) items.Add(row with { Versions = Versions(session, row.Id, VersionsPerListedItem) });
            }
            if (rows.Count < Batch) return new(items, null);
        }
        return new(items, after);
    }

    /// <summary>Makes <paramref name="version"/> the active one; the one before is superseded. Inside a write.</summary>
    /// <exception cref="LockstepException">not-found when the version does not exist (any more).</exception>
    public static void MarkActive(SqlSession session, SecretId id, int version)
    {
        Supersede(session, id);
        var changed = session.Execute(
            "UPDATE secret_versions SET state = 'active' WHERE id = @id AND version = @version AND state <> 'destroyed'", ("@id", id.Value), ("@version", version));
        if (changed == 0)
            throw new LockstepException(ErrorCode.NotFound, string.Create(CultureInfo.InvariantCulture, $"version {version} of the secret {id} does not exist or was destroyed"));
    }

    /// <summary>Leaves the secret without an active version. Inside a write.</summary>
    public static void Supersede(SqlSession session, SecretId id) =>
        session.Execute("UPDATE secret_versions SET state = 'superseded' WHERE id = @id AND state = 'active'", ("@id", id.Value));

    private static List<SecretVersionInfo> Versions(SqlSession session, SecretId id, int limit) => session.Query(
        "SELECT version, state, store_version, created_at, created_by, destroyed_at FROM secret_versions WHERE id = @id ORDER BY version DESC LIMIT @limit",
        r => new SecretVersionInfo
        {
            Version = (int)r.GetInt64(0),
            State = r.GetString(1),
            StoreVersion = r.TextOrNull(2),
            CreatedAt = r.Time(3),
            CreatedBy = r.GetString(4),
            DestroyedAt = r.TimeOrNull(5),
        },
        ("@id", id.Value), ("@limit", limit));

    private static SecretInfo ReadInfo(DbDataReader row) => new()
    {
        Id = SecretId.TryParse(row.GetString(0), out var id) ? id : throw new InvalidOperationException("the table holds an id that is none"),
        Mount = row.GetString(1),
        Latest = (int)row.GetInt64(2),
        Active = (int?)row.NumberOrNull(3),
        CreatedAt = row.Time(4),
        CreatedBy = row.GetString(5),
        DeletedAt = row.TimeOrNull(6),
    };

    private static string IdText(string name, string? text)
    {
        if (text is null) return "";
        return text.Length <= SecretId.MaxLength && text.All(c => c is > ' ' and < '\x7f')
            ? text
            : throw new LockstepException(ErrorCode.BadRequest, $"{name} must be (the start of) a secret id: at most 255 printable ASCII characters.");
    }

    private static bool IsMatch(Regex filter, string id)
    {
        try
        {
            return filter.IsMatch(id);
        }
        catch (RegexMatchTimeoutException e)
        {
            throw new LockstepException(ErrorCode.BadRequest, "filter takes too long to be looked for in an id; write a simpler one.", e);
        }
    }

    private static Regex? Compile(string? filter)
    {
        if (filter is null) return null;
        if (filter.Length > MaxFilterLength) throw new LockstepException(ErrorCode.BadRequest, $"filter is longer than {MaxFilterLength} characters.");
        try
        {
            return new Regex(filter, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, TimeSpan.FromMilliseconds(200));
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"filter can't be used: {e.Message} Back-references, look-around and atomic groups are not supported.", e);
        }
    }
}
