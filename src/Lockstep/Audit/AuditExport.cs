using System.Runtime.CompilerServices;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>The entries of a time, oldest first, a page at a time.</summary>
internal static class AuditExport
{
    private const int PageSize = 256;

    public static async IAsyncEnumerable<IReadOnlyList<AuditRow>> PagesAsync(
        Database database, DateTimeOffset? since, DateTimeOffset until, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        var after = new AuditCursor(since?.ToUnixTimeMilliseconds() ?? long.MinValue, "", 0);
        while (true)
        {
            var from = after;
            var page = await database.ReadAsync(
                session => session.Query(
                    $"SELECT {AuditRow.Columns} FROM audit WHERE at < @until AND (at, node, seq) > (@at, @node, @seq) ORDER BY at, node, seq LIMIT @limit",
                    AuditRow.Read, ("until", until.ToUnixTimeMilliseconds()), ("at", from.At), ("node", from.Node), ("seq", from.Seq), ("limit", PageSize)),
                cancellationToken);
            if (page.Count == 0) yield break;
            yield return page;
            after = new AuditCursor(page[^1].At, page[^1].Node, page[^1].Seq);
        }
    }
}
