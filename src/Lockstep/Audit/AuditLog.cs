using System.Data.Common;
using System.Diagnostics.Metrics;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// The record. Entries go to this node's chain in the database, either inside the transaction of the write they are about or by
/// themselves, many to a commit. Checkpoints outside the database, retention and other sinks start from <see cref="AuditChain.Start"/> and
/// from the one place where entries are written, <see cref="AuditChain.Append"/>.
/// </summary>
internal sealed class AuditLog(Database database, byte[] key, string node)
{
    /// <summary>Entries that may wait for one write; beyond, what would be recorded is refused.</summary>
    public const int MaxWaiting = 8192;

    private static readonly Counter<long> s_entries = Telemetry.Meter.CreateCounter<long>(
        "lockstep.audit.entries", description: "Entries appended to the record; equal disclosures of one commit are one");

    private readonly AuditChain _chain = new(key);
    private readonly Lock _lock = new();
    private AuditBatch? _open;

    /// <summary>This node's name in the record.</summary>
    public string Node { get; } = node;

    /// <summary>Appends entries inside a write's own transaction: all is there or nothing.</summary>
    /// <exception cref="LockstepException">unavailable when the database refuses it.</exception>
    public void Append(SqlSession session, params IReadOnlyList<AuditEntry> entries)
    {
        try
        {
            _chain.Append(session, Node, entries);
            s_entries.Add(entries.Count);
        }
        catch (DbException e)
        {
            throw Unavailable("the database refused it", e);
        }
    }

    /// <summary>
    /// Appends an entry by itself and completes when it is durable. Everything that waits at the same time shares one commit, and equal
    /// allowed entries (all but time, trace, instances and count) of one commit become one. When the caller gives up waiting, the entry is
    /// written all the same.
    /// </summary>
    /// <exception cref="LockstepException">unavailable when the record can't be written.</exception>
    public Task RecordAsync(AuditEntry entry, CancellationToken cancellationToken)
    {
        AuditBatch batch;
        var isNew = false;
        lock (_lock)
        {
            if (_open is null)
            {
                _open = new AuditBatch();
                isNew = true;
            }
            batch = _open;
            if (batch.Count >= MaxWaiting)
                return Task.FromException(Unavailable("too many entries wait for the database"));
            batch.Add(entry);
        }
        if (isNew) _ = WriteAsync(batch);
        return cancellationToken.CanBeCanceled ? batch.Written.WaitAsync(cancellationToken) : batch.Written;
    }

    /// <summary>Checks the whole chain of every node, as far as it reached when this was called.</summary>
    public Task<AuditVerification> VerifyAsync(CancellationToken cancellationToken) => new AuditVerifier(database, _chain).RunAsync(cancellationToken);

    /// <summary>Entries that match, newest first, older than <see cref="AuditQuery.Before"/> when that is set.</summary>
    public Task<IReadOnlyList<AuditRecord>> NewestAsync(AuditQuery query, CancellationToken cancellationToken) =>
        database.ReadAsync(query.Newest, cancellationToken);

    /// <summary>Entries of this node that match and come after <paramref name="seq"/>, in their order: how one follows the record.</summary>
    public Task<IReadOnlyList<AuditRecord>> AfterAsync(AuditQuery query, long seq, CancellationToken cancellationToken) =>
        database.ReadAsync(session => query.After(session, Node, seq), cancellationToken);

    private static LockstepException Unavailable(string reason, Exception? inner = null) =>
        new(ErrorCode.Unavailable, $"the audit record can't be written ({reason}), so nothing is disclosed or changed; try again, and check the server's database and disk", inner)
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        };

    // The batch stays open until the writer gets to it, so the wait for the commit before fills it.
    private async Task WriteAsync(AuditBatch batch)
    {
        try
        {
            await database.WriteAsync(
                session =>
                {
                    var entries = Close(batch);
                    _chain.Append(session, Node, entries);
                    s_entries.Add(entries.Count);
                    return true;
                },
                CancellationToken.None);
            batch.Complete();
        }
        catch (Exception e)
        {
            // An operation that never ran leaves its batch open.
            _ = Close(batch);
            batch.Fail(e as LockstepException is { } known && known.Code == ErrorCode.Unavailable
                ? Unavailable(known.Message.TrimEnd('.'), e)
                : Unavailable("the database refused it", e));
        }
    }

    private List<AuditEntry> Close(AuditBatch batch)
    {
        lock (_lock)
        {
            if (_open == batch) _open = null;
        }
        return batch.Entries();
    }
}
