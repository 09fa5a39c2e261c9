using System.Data.Common;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// The record. Entries go to this node's chain in the database, either inside the transaction of the write they are about or by
/// themselves, many to a commit; from there to the sinks, if there are any.
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
    private IReadOnlyList<SinkFollower> _sinks = [];
    private AuditCheckpoints? _checkpoints;
    private long _last;
    private bool _hasNews;

    /// <summary>This node's name in the record.</summary>
    public string Node { get; } = node;

    /// <summary>What tokens were given, by the record.</summary>
    public Exposure Exposure { get; } = new(database);

    public Database Database => database;

    public AuditChain Chain => _chain;

    public IReadOnlyList<SinkFollower> Sinks => Volatile.Read(ref _sinks);

    /// <summary>Whether a disclosure has to wait for more than the database.</summary>
    public bool HasSinks => Sinks.Count > 0;

    /// <summary>Why nothing can be disclosed now, although the database may take it: the sink that fails; null: all work.</summary>
    public (SinkFollower Sink, SinkFailure Failure)? SinkFailure =>
        Sinks.Select(s => (Sink: s, s.Failure)).Where(s => s.Failure is not null).Select(s => ((SinkFollower, SinkFailure)?)(s.Sink, s.Failure!)).FirstOrDefault();

    /// <summary>How many entries the furthest behind of the sinks has not got.</summary>
    public long SinksBehind => HasSinks ? Math.Max(0, Volatile.Read(ref _last) - Sinks.Min(s => s.Position)) : 0;

    /// <summary>A key of its own for each purpose, made of the one of the record, so that all of them stay when the master key changes.</summary>
    public byte[] Derive(string purpose) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key, 32, info: System.Text.Encoding.UTF8.GetBytes("lockstep/audit/" + purpose));

    /// <summary>From now on disclosures wait for the sinks too, and <see cref="VerifyAsync"/> looks at them and at the checkpoints.</summary>
    public void Attach(IReadOnlyList<SinkFollower> sinks, AuditCheckpoints checkpoints)
    {
        _checkpoints = checkpoints;
        Volatile.Write(ref _last, Math.Max(Volatile.Read(ref _last), sinks.Select(s => s.Found).DefaultIfEmpty().Max()));
        Volatile.Write(ref _sinks, sinks);
        database.Committed = sinks.Count == 0 ? null : WakeSinks;
        WakeSinks(always: true);
    }

    /// <summary>Appends entries inside a write's own transaction: all is there or nothing.</summary>
    /// <exception cref="LockstepException">unavailable when the database refuses it.</exception>
    public void Append(SqlSession session, params IReadOnlyList<AuditEntry> entries)
    {
        try
        {
            AppendToChain(session, entries);
        }
        catch (DbException e)
        {
            throw Unavailable("the database refused it", e);
        }
    }

    /// <summary>
    /// Appends an entry by itself and completes when it is durable, in the database and in every sink. Everything that waits at the same time shares one commit, and equal
    /// allowed entries (all but time, trace, instances and count) of one commit become one. When the caller gives up waiting, the entry is
    /// written all the same. A denial that a sink does not take is no failure: it is in the database, and the sink gets it later.
    /// </summary>
    /// <exception cref="LockstepException">unavailable when the record can't be written.</exception>
    public Task RecordAsync(AuditEntry entry, CancellationToken cancellationToken)
    {
        var isAllowed = entry.Decision == AuditEntry.Allowed;
        if (isAllowed && HasSinks && SinkFailure is { } failing) return Task.FromException(failing.Sink.Unavailable(failing.Failure.Reason));
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
        var recorded = isAllowed || !HasSinks ? batch.Delivered : DeniedAsync(batch);
        return cancellationToken.CanBeCanceled ? recorded.WaitAsync(cancellationToken) : recorded;
    }

    /// <summary>Checks the whole chain of every node, as far as it reached when this was called, and what is known of it outside the database.</summary>
    public async Task<AuditVerification> VerifyAsync(CancellationToken cancellationToken)
    {
        // Before the record is looked at: what they have is in it.
        var noted = _checkpoints is null ? [] : await _checkpoints.ReadAsync(cancellationToken);
        var conflicts = Sinks.Select(s => s.Conflict).OfType<AuditBreak>().ToList();
        var result = await new AuditVerifier(database, _chain, Derive("anchor")).RunAsync(noted, cancellationToken);
        return result.Valid && conflicts is [var conflict, ..] ? new AuditVerification { Valid = false, FirstBad = conflict } : result;
    }

    /// <summary>Entries that match, newest first, older than <see cref="AuditQuery.Before"/> when that is set.</summary>
    public Task<IReadOnlyList<AuditRecord>> NewestAsync(AuditQuery query, CancellationToken cancellationToken) =>
        database.ReadAsync(query.Newest, cancellationToken);

    /// <summary>Entries of this node that match and come after <paramref name="seq"/>, in their order: how one follows the record.</summary>
    public Task<IReadOnlyList<AuditRecord>> AfterAsync(AuditQuery query, long seq, CancellationToken cancellationToken) =>
        database.ReadAsync(session => query.After(session, Node, seq), cancellationToken);

    public static LockstepException Unavailable(string reason, Exception? inner = null) =>
        new(ErrorCode.Unavailable, $"the audit record can't be written ({reason}), so nothing is disclosed or changed; try again, and check the server's database and disk", inner)
        {
            RetryAfter = TimeSpan.FromSeconds(1),
        };

    // The batch stays open until the writer gets to it, so the wait for the commit before fills it.
    private async Task WriteAsync(AuditBatch batch)
    {
        List<(SinkFollower Sink, SinkWait Wait)> waits = [];
        try
        {
            await database.WriteAsync(session =>
            {
                var (before, last) = AppendToChain(session, Close(batch));
                // Before the commit, so that no sink is past it unseen.
                waits = [.. Sinks.Select(s => (s, s.Expect(before, last)))];
                return true;
            }, CancellationToken.None);
            batch.Complete();
            await Task.WhenAll(waits.Select(w => w.Sink.ReachAsync(w.Wait)));
            batch.Deliver();
        }
        catch (Exception e)
        {
            foreach (var (sink, wait) in waits) sink.Forget(wait);
            // An operation that never ran leaves its batch open.
            _ = Close(batch);
            batch.Fail(batch.Written.IsCompletedSuccessfully ? e
                : e as LockstepException is { } known && known.Code == ErrorCode.Unavailable ? Unavailable(known.Message.TrimEnd('.'), e)
                : Unavailable("the database refused it", e));
        }
    }

    private static async Task DeniedAsync(AuditBatch batch)
    {
        await batch.Written;
        try
        {
            await batch.Delivered;
        }
        catch (LockstepException)
        {
            // Readiness tells of the sink.
        }
    }

    private (AuditTail Before, AuditTail After) AppendToChain(SqlSession session, IReadOnlyList<AuditEntry> entries)
    {
        var tails = _chain.Append(session, Node, entries);
        s_entries.Add(entries.Count);
        Volatile.Write(ref _last, tails.After.Seq);
        if (!HasSinks) return tails;
        // In the writer's transaction, so it is seen by the signal of its commit.
        Volatile.Write(ref _hasNews, true);
        // No sink is ahead of the record, unless somebody cut that, or put the database back: then numbers are given again, and the sinks must not take the new entries for the old.
        foreach (var sink in Sinks) sink.Rewind(tails.Before);
        return tails;
    }

    private void WakeSinks() => WakeSinks(always: false);

    private void WakeSinks(bool always)
    {
        if (!Volatile.Read(ref _hasNews) && !always) return;
        Volatile.Write(ref _hasNews, false);
        foreach (var sink in Sinks) sink.Wake();
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
