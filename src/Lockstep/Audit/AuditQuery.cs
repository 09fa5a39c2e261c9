using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>Which entries to read; null: any.</summary>
internal sealed record AuditQuery
{
    public const int MaxLimit = 1000;
    public const int MaxTokens = 1000;

    public string? Action { get; init; }

    /// <summary>Ids of tokens, 1 to <see cref="MaxTokens"/>.</summary>
    public IReadOnlyList<string>? TokenIds { get; init; }

    public DateTimeOffset? Since { get; init; }

    public AuditCursor? Before { get; init; }

    /// <summary>How many at most, 1 to <see cref="MaxLimit"/>.</summary>
    public int Limit { get; init; } = 100;

    public IReadOnlyList<AuditRecord> Newest(SqlSession session)
    {
        var (sql, parameters) = Start();
        if (Before is { } before)
        {
            sql.Append(" AND (at, node, seq) < (@b_at, @b_node, @b_seq)");
            parameters.AddRange([("b_at", before.At), ("b_node", before.Node), ("b_seq", before.Seq)]);
        }
        sql.Append(" ORDER BY at DESC, node DESC, seq DESC");
        return Run(session, sql, parameters);
    }

    public IReadOnlyList<AuditRecord> After(SqlSession session, string node, long seq)
    {
        var (sql, parameters) = Start();
        sql.Append(" AND node = @node AND seq > @seq ORDER BY seq");
        parameters.AddRange([("node", node), ("seq", seq)]);
        return Run(session, sql, parameters);
    }

    private (StringBuilder Sql, List<(string, object?)> Parameters) Start()
    {
        var sql = new StringBuilder("SELECT node, seq, at, entry FROM audit WHERE 1 = 1");
        var parameters = new List<(string, object?)>();
        void Where(string condition, string name, object? value)
        {
            if (value is null) return;
            sql.Append(" AND ").Append(condition);
            parameters.Add((name, value));
        }

        Where("action = @action", "action", Action);
        Where("at >= @since", "since", Since?.ToUnixTimeMilliseconds());
        if (TokenIds is not null)
        {
            sql.Append(CultureInfo.InvariantCulture, $" AND token IN ({string.Join(", ", TokenIds.Select((_, i) => string.Create(CultureInfo.InvariantCulture, $"@t{i}")))})");
            parameters.AddRange(TokenIds.Select((id, i) => (string.Create(CultureInfo.InvariantCulture, $"t{i}"), (object?)id)));
        }
        return (sql, parameters);
    }

    private List<AuditRecord> Run(SqlSession session, StringBuilder sql, List<(string, object?)> parameters)
    {
        sql.Append(" LIMIT @limit");
        parameters.Add(("limit", Math.Clamp(Limit, 1, MaxLimit)));
        return session.Query(sql.ToString(), Read, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(parameters));
    }

    /// <summary>Of node, seq, at, entry.</summary>
    public static AuditRecord Read(DbDataReader row) => new(new AuditCursor(row.GetInt64(2), row.GetString(0), row.GetInt64(1)), row.GetString(3));
}

/// <summary>An entry where it stands in the record. <paramref name="Entry"/> is its JSON text as written.</summary>
internal sealed record AuditRecord(AuditCursor Position, string Entry)
{
    /// <summary>The entry's fields, or null when the row was damaged.</summary>
    public AuditEntry? Parse() => AuditJson.Parse(Entry);
}

/// <summary>A place in the record, newest first; its text is what <c>next</c> carries.</summary>
internal readonly record struct AuditCursor(long At, string Node, long Seq)
{
    public static bool TryParse([NotNullWhen(true)] string? text, out AuditCursor cursor)
    {
        cursor = default;
        var parts = text?.Split('.', 3);
        if (parts is not { Length: 3 } || text!.Length > 128
            || !long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var at)
            || !long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var seq))
            return false;
        cursor = new AuditCursor(at, parts[2], seq);
        return true;
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{At}.{Seq}.{Node}");
}
