using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// Reads every node's chain in pages and checks that no row was changed, added, removed or moved: from the anchor, where old entries were deleted, to the end, with what the checkpoints say of it.
/// </summary>
internal sealed class AuditVerifier(Database database, AuditChain chain, byte[] anchorKey)
{
    private const int PageSize = 1000;

    /// <summary>Checks all; the first thing that does not fit ends it.</summary>
    /// <param name="checkpoints">What was noted outside; null stands for a line that was not made by this server. Read before this is called: the record is never behind them.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public async Task<AuditVerification> RunAsync(IReadOnlyList<SignedTail?> checkpoints, CancellationToken cancellationToken)
    {
        var heads = await database.ReadAsync(
            session => session.Query("SELECT node, MAX(seq) FROM audit GROUP BY node ORDER BY node", row => (Node: row.GetString(0), Last: row.GetInt64(1)))
                .ToDictionary(h => h.Node, h => h.Last, StringComparer.Ordinal),
            cancellationToken);
        var noted = checkpoints.OfType<SignedTail>().ToLookup(c => c.Node, StringComparer.Ordinal);
        foreach (var node in (await database.ReadAsync(AuditAnchor.Nodes, cancellationToken)).Concat(noted.Select(n => n.Key))) heads.TryAdd(node, 0);
        long entries = 0;
        foreach (var (node, last) in heads.OrderBy(h => h.Key, StringComparer.Ordinal))
        {
            var (bad, count) = await CheckNodeAsync(node, last, [.. noted[node].OrderBy(c => c.Seq)], cancellationToken);
            if (bad is not null) return new AuditVerification { Valid = false, FirstBad = bad };
            entries += count;
        }
        if (checkpoints.ToList().IndexOf(null) is var line and >= 0)
            return Bad("", 0, $"line {line + 1} of the checkpoints was not made by this server, or was changed");
        return new AuditVerification { Valid = true, Entries = entries };
    }

    /// <summary>Why a row does not follow the one before; null: it does.</summary>
    public string? Check(AuditTail tail, AuditRow row)
    {
        if (row.Seq != tail.Seq + 1) return "the entry is missing";
        var mac = chain.Mac(tail.Mac, row.Node, row.Seq, Encoding.UTF8.GetBytes(row.Entry));
        if (!CryptographicOperations.FixedTimeEquals(mac, row.Mac)) return "the entry, or one before it, was changed";
        // The columns serve look-ups and are outside the MAC, so they are held to the entry's text.
        return AuditJson.Parse(row.Entry) is not { } entry ? "the entry is not readable"
            : entry.At.ToUnixTimeMilliseconds() != row.At || entry.Action != row.Action || entry.TokenId != row.Token || entry.Parent != row.Parent
                ? "the columns differ from the entry"
                : null;
    }

    public static AuditVerification Bad(string node, long seq, string reason) => new() { Valid = false, FirstBad = new AuditBreak { Node = node, Seq = seq, Reason = reason } };

    private async Task<(AuditBreak? Bad, long Entries)> CheckNodeAsync(string node, long last, List<SignedTail> noted, CancellationToken cancellationToken)
    {
        while (true)
        {
            var start = await AnchorAsync(node, cancellationToken);
            if (start is null) return (new AuditBreak { Node = node, Seq = 0, Reason = "the anchor, which tells up to where old entries were deleted, was changed" }, 0);
            var (bad, entries) = await CheckFromAsync(node, start, last, noted, cancellationToken);
            // Old entries may have been deleted meanwhile; then there is another beginning.
            if (bad is null || (await AnchorAsync(node, cancellationToken))?.Seq == start.Seq) return (bad, entries);
        }
    }

    private async Task<(AuditBreak? Bad, long Entries)> CheckFromAsync(string node, AuditTail start, long last, List<SignedTail> noted, CancellationToken cancellationToken)
    {
        var (tail, entries, next) = (start, 0L, 0);
        if (await database.ReadAsync(session => FirstUpTo(session, node, start.Seq), cancellationToken) is { } stray)
            return (Broken(stray, "an entry stands where there is none: before the first one, or up to where old ones were deleted"), entries);
        while (next < noted.Count && noted[next].Seq < start.Seq) next++;
        if (NotAsNoted() is { } odd) return (odd, entries);
        while (tail.Seq < last)
        {
            var page = await database.ReadAsync(session => AuditRow.After(session, node, tail.Seq, PageSize), cancellationToken);
            if (page.Count == 0) return (Broken(tail.Seq + 1, "the entry is missing"), entries);
            foreach (var row in page)
            {
                if (Check(tail, row) is { } reason) return (Broken(tail.Seq + 1, reason), entries);
                (tail, entries) = (new AuditTail(row.Seq, row.Mac), entries + 1);
                if (NotAsNoted() is { } other) return (other, entries);
            }
        }
        return (noted.Count > 0 && noted[^1] is { } newest && newest.Seq > tail.Seq
            ? Broken(tail.Seq + 1, $"the record ends before entry {newest.Seq}, which the checkpoint of {newest.At:u} saw")
            : null, entries);

        AuditBreak Broken(long seq, string why) => new() { Node = node, Seq = seq, Reason = why };

        AuditBreak? NotAsNoted()
        {
            for (; next < noted.Count && noted[next].Seq == tail.Seq; next++)
                if (!CryptographicOperations.FixedTimeEquals(noted[next].Mac, tail.Mac)) return Broken(tail.Seq, $"the entry is not the one that the checkpoint of {noted[next].At:u} saw");
            return null;
        }
    }

    // Lists and counts show it too, and it is in nobody's chain.
    private static long? FirstUpTo(SqlSession session, string node, long seq) =>
        session.Query("SELECT seq FROM audit WHERE node = @node AND seq <= @seq ORDER BY seq LIMIT 1", row => row.GetInt64(0), ("node", node), ("seq", seq)) is [var first] ? first : null;

    // Null: there is one that was changed.
    private async Task<AuditTail?> AnchorAsync(string node, CancellationToken cancellationToken)
    {
        try
        {
            return await database.ReadAsync(session => AuditAnchor.Read(session, node, anchorKey), cancellationToken) is { } anchor ? anchor.Tail : AuditChain.Start;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Internal)
        {
            return null;
        }
    }
}
