using System.Text.Json;
using Lockstep.Config;
using Lockstep.Storage;

namespace Lockstep.Releases;

/// <summary>The known documents and their changes in the database.</summary>
internal sealed class KnownDocuments(Database database)
{
    /// <summary>How many documents may be known; beyond it the one served longest ago is forgotten.</summary>
    public const int Limit = 10_000;

    /// <summary>How many bytes of rendered documents are kept at the most.</summary>
    public const long MaxBytes = 256L * 1024 * 1024;

    /// <summary>How long a document stays known after it was last served.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromDays(30);

    private const int KeysPerChange = 1_000;

    public Task<List<(DocumentKey Key, long LastServedAt)>> ListAsync(DateTimeOffset servedSince, CancellationToken cancellationToken) =>
        database.ReadAsync(s => s.Query(
            "SELECT service, environment, label, last_served_at FROM documents WHERE last_served_at >= @since ORDER BY last_served_at DESC LIMIT @limit",
            r => (new DocumentKey(r.GetString(0), r.GetString(1), LabelOf(r.GetString(2))), r.GetInt64(3)),
            ("since", servedSince.ToUnixTimeMilliseconds()), ("limit", (long)Limit)), cancellationToken);

    /// <summary>Records that a document is known, and how it stood when that began: the row has no keys and is no change.</summary>
    public Task AddAsync(DocumentKey key, long release, string? etag, long servedAt, CancellationToken cancellationToken) =>
        database.WriteAsync(session =>
        {
            Touch(session, key, servedAt);
            var last = session.First(
                "SELECT etag FROM document_changes WHERE service = @service AND environment = @environment AND label = @label ORDER BY release DESC LIMIT 1",
                r => (Any: true, ETag: r.IsDBNull(0) ? null : r.GetString(0)),
                ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""));
            if (!last.Any || last.ETag != etag) Insert(session, new DocumentChange(key, etag, null), release);
            return true;
        }, cancellationToken);

    /// <summary>Writes when documents were last served, and forgets the given ones and those of long ago.</summary>
    public Task SaveUsageAsync(
        IReadOnlyCollection<(DocumentKey Key, long LastServedAt)> used, IReadOnlyCollection<DocumentKey> forgotten, DateTimeOffset before, CancellationToken cancellationToken) =>
        database.WriteAsync(session =>
        {
            session.Execute("DELETE FROM documents WHERE last_served_at < @before", ("before", before.ToUnixTimeMilliseconds()));
            foreach (var (key, at) in used) Touch(session, key, at);
            foreach (var key in forgotten)
                session.Execute("DELETE FROM documents WHERE service = @service AND environment = @environment AND label = @label",
                    ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""));
            return true;
        }, cancellationToken);

    public static void Insert(SqlSession session, DocumentChange change, long release) => session.Execute(
        """
        INSERT INTO document_changes (service, environment, label, release, valid, etag, keys, reason)
        VALUES (@service, @environment, @label, @release, @valid, @etag, @keys, @reason)
        ON CONFLICT (service, environment, label, release) DO NOTHING
        """,
        ("service", change.Key.Service), ("environment", change.Key.Environment), ("label", change.Key.Label ?? ""), ("release", release),
        ("valid", change.ETag is null ? 0L : 1L), ("etag", change.ETag),
        ("keys", change.Keys is { } keys ? JsonSerializer.Serialize(keys.Take(KeysPerChange).ToArray(), ReleaseJson.Default.StringArray) : null),
        ("reason", change.Reason));

    /// <summary>The newest release up to <paramref name="release"/> from which on the document was valid.</summary>
    public Task<long?> LastValidAsync(DocumentKey key, long release, CancellationToken cancellationToken) =>
        database.ReadAsync(s => s.First<long?>(
            """
            SELECT release FROM document_changes WHERE service = @service AND environment = @environment AND label = @label
            AND release <= @release AND valid = 1 ORDER BY release DESC LIMIT 1
            """, r => r.GetInt64(0),
            ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""), ("release", release)), cancellationToken);

    /// <summary>When the document became invalid for good: the first release after <paramref name="validAt"/> that changed it.</summary>
    public Task<(long Release, DateTimeOffset At)?> FirstChangeAfterAsync(DocumentKey key, long validAt, CancellationToken cancellationToken) =>
        database.ReadAsync(s => s.First<(long, DateTimeOffset)?>(
            """
            SELECT d.release, j.at FROM document_changes d JOIN journal j ON j.release = d.release
            WHERE d.service = @service AND d.environment = @environment AND d.label = @label AND d.release > @release ORDER BY d.release LIMIT 1
            """, r => (r.GetInt64(0), DateTimeOffset.FromUnixTimeMilliseconds(r.GetInt64(1))),
            ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""), ("release", validAt)), cancellationToken);

    private static void Touch(SqlSession session, DocumentKey key, long at) => session.Execute(
        """
        INSERT INTO documents (service, environment, label, last_served_at) VALUES (@service, @environment, @label, @at)
        ON CONFLICT (service, environment, label) DO UPDATE SET last_served_at = excluded.last_served_at
        """,
        ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""), ("at", at));

    private static string? LabelOf(string column) => column.Length == 0 ? null : column;
}
