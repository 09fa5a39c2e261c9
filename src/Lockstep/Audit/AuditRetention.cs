using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// Deletes entries for their age: up to a checkpoint, in short transactions, each of which moves the anchor. What does not fit the chain is not deleted, nor what follows it, so that no evidence goes
/// by itself.
/// </summary>
internal sealed class AuditRetention(AuditLog log, AuditCheckpoints checkpoints, TimeProvider time)
{
    private const int Chunk = 500;

    private readonly byte[] _key = log.Derive("anchor");

    /// <summary>Deletes what a checkpoint from before <paramref name="before"/> covers; how many entries that were.</summary>
    /// <exception cref="LockstepException">conflict when the record does not fit.</exception>
    public async Task<long> RunAsync(DateTimeOffset before, CancellationToken cancellationToken)
    {
        var (anchor, tail) = await log.Database.ReadAsync(s => (Anchor(s), AuditChain.Tail(s, log.Node)), cancellationToken);
        // The last entry stays: the next one follows it.
        var limit = log.Sinks.Select(s => s.Position).Append(tail.Seq - 1).Min();
        var noted = await checkpoints.ReadAsync(cancellationToken);
        if (noted.OfType<SignedTail>().Where(c => c.Node == log.Node && c.At <= before && c.Seq > anchor.Seq && c.Seq <= limit).MaxBy(c => c.Seq) is not { } target) return 0;
        var seen = await log.Database.ReadAsync(s => AuditRow.After(s, log.Node, target.Seq - 1, 1), cancellationToken);
        if (seen is not [var last] || last.Seq != target.Seq || !CryptographicOperations.FixedTimeEquals(last.Mac, target.Mac)) throw NotDeleted(target.Seq, "it is not the entry that a checkpoint saw");
        var from = anchor.Seq;
        while (anchor.Seq < target.Seq) anchor = await DeleteAsync(anchor, target, target.Seq - from, cancellationToken);
        return target.Seq - from;
    }

    private async Task<AuditTail> DeleteAsync(AuditTail anchor, SignedTail target, long total, CancellationToken cancellationToken)
    {
        var rows = await log.Database.ReadAsync(s => AuditRow.After(s, log.Node, anchor.Seq, (int)Math.Min(Chunk, target.Seq - anchor.Seq)), cancellationToken);
        var verifier = new AuditVerifier(log.Database, log.Chain, _key);
        var next = anchor;
        foreach (var row in rows)
        {
            if (verifier.Check(next, row) is { } reason) throw NotDeleted(next.Seq + 1, reason);
            next = new AuditTail(row.Seq, row.Mac);
        }
        if (next.Seq == anchor.Seq) throw NotDeleted(next.Seq + 1, "the entry is missing");
        await log.Database.WriteAsync(session =>
        {
            if (Anchor(session).Seq != anchor.Seq) throw new LockstepException(ErrorCode.Conflict, "somebody else deletes old entries of the audit record at the same time");
            session.Execute("DELETE FROM audit WHERE node = @node AND seq > @from AND seq <= @to", ("node", log.Node), ("from", anchor.Seq), ("to", next.Seq));
            AuditAnchor.Write(session, SignedTail.Sign(_key, log.Node, next, time.GetUtcNow()));
            if (next.Seq == target.Seq) log.Append(session, Entry(target, total));
            return true;
        }, cancellationToken);
        return next;
    }

    private AuditTail Anchor(SqlSession session) => AuditAnchor.Read(session, log.Node, _key)?.Tail ?? AuditChain.Start;

    private AuditEntry Entry(SignedTail target, long total) => new()
    {
        At = time.GetUtcNow(),
        Action = "audit.retention",
        Decision = AuditEntry.Allowed,
        Actor = "system:audit",
        TokenId = "system:audit",
        Route = "server",
        Detail = $"{total} entries deleted for their age, up to entry {target.Seq}, which the checkpoint of {target.At:u} saw",
    };

    private static LockstepException NotDeleted(long seq, string reason) =>
        new(ErrorCode.Conflict, $"old entries of the audit record are not deleted, as entry {seq} does not fit ({reason}); run: lockstep audit verify");
}
