using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>Reads every node's chain in pages and checks that no row was changed, added, removed or moved.</summary>
internal sealed class AuditVerifier(Database database, AuditChain chain)
{
    private const int PageSize = 1000;

    public async Task<AuditVerification> RunAsync(CancellationToken cancellationToken)
    {
        var heads = await database.ReadAsync(
            session => session.Query("SELECT node, MAX(seq) FROM audit GROUP BY node ORDER BY node", row => (Node: row.GetString(0), Last: row.GetInt64(1))),
            cancellationToken);
        long entries = 0;
        foreach (var (node, last) in heads)
        {
            var tail = AuditChain.Start;
            while (tail.Seq < last)
            {
                var after = tail.Seq;
                var page = await database.ReadAsync(session => Page(session, node, after), cancellationToken);
                if (page.Count == 0) return Bad(node, after + 1, "the entry is missing");
                foreach (var row in page)
                {
                    if (Check(node, tail, row) is { } reason) return Bad(node, tail.Seq + 1, reason);
                    tail = new AuditTail(row.Seq, row.Mac);
                    entries++;
                }
            }
        }
        return new AuditVerification { Valid = true, Entries = entries };
    }

    private static AuditVerification Bad(string node, long seq, string reason) =>
        new() { Valid = false, FirstBad = new AuditBreak { Node = node, Seq = seq, Reason = reason } };

    private static List<Row> Page(SqlSession session, string node, long after) => session.Query(
        $"SELECT seq, at, action, token, entry, mac FROM audit WHERE node = @node AND seq > @after ORDER BY seq LIMIT {PageSize}",
        row => new Row(row.GetInt64(0), row.GetInt64(1), row.GetString(2), row.IsDBNull(3) ? null : row.GetString(3), row.GetString(4), row.GetFieldValue<byte[]>(5)),
        ("node", node), ("after", after));

    private string? Check(string node, AuditTail tail, Row row)
    {
        if (row.Seq != tail.Seq + 1) return "the entry is missing";
        var mac = chain.Mac(tail.Mac, node, row.Seq, Encoding.UTF8.GetBytes(row.Entry));
        if (!CryptographicOperations.FixedTimeEquals(mac, row.Mac)) return "the entry, or one before it, was changed";
        // The columns serve look-ups and are outside the MAC, so they are held to the entry's text.
        return AuditJson.Parse(row.Entry) is not { } entry ? "the entry is not readable"
            : entry.At.ToUnixTimeMilliseconds() != row.At || entry.Action != row.Action || entry.TokenId != row.Token
                ? "the columns differ from the entry"
                : null;
    }

    private sealed record Row(long Seq, long At, string Action, string? Token, string Entry, byte[] Mac);
}
