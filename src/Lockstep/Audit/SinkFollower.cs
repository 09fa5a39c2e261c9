using System.Buffers;
using Lockstep.Client;
using Lockstep.Storage;
using Microsoft.Extensions.Logging;

namespace Lockstep.Audit;

/// <summary>What a sink's lines are made of, and the clock.</summary>
internal sealed record SinkSource(Database Database, AuditChain Chain, string Node, byte[] AnchorKey, TimeProvider Time);

/// <summary>
/// Carries this node's entries from the database to one sink, in their order, each once: a thread of its own, which may be held up by a disk that hangs. What fails is tried again each
/// second; then it goes on where it was. Who waits for an entry is told as soon as it is there, or that it can't be had.
/// </summary>
internal sealed partial class SinkFollower : IAsyncDisposable
{
    /// <summary>How long anybody waits for the sink.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private const int PageSize = 256;
    private const int MaxWaiting = 1024;

    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_end = TimeSpan.FromSeconds(5);

    private readonly IAuditSink _sink;
    private readonly SinkSource _source;
    private readonly ILogger _log;
    private readonly Thread _thread;
    private readonly ArrayBufferWriter<byte> _lines = new();
    private readonly ManualResetEventSlim _wake = new();
    private readonly ManualResetEventSlim _stop = new();
    private readonly TaskCompletionSource _opened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _lock = new();
    private readonly List<SinkWait> _waiting = [];
    private AuditTail _at = AuditChain.Start;
    private SinkFailure? _failure;
    private long? _busySince;
    private int _rewinds;

    // The last entry that did not fit the one before it.
    private long _spoiled;

    private enum Outcome
    {
        /// <summary>All there was; nobody knows what is new by now.</summary>
        Nothing,
        Written,
        Failed,
    }

    private SinkFollower(IAuditSink sink, SinkSource source, ILogger log)
    {
        (_sink, _source, _log) = (sink, source, log);
        _thread = new Thread(Run) { IsBackground = true, Name = "audit sink" };
    }

    public string Name => _sink.Name;

    /// <summary>The number of the last entry that the sink has.</summary>
    public long Position
    {
        get
        {
            lock (_lock) return _at.Seq;
        }
    }

    /// <summary>The number of the record's last entry when the sink was opened.</summary>
    public long Found { get; private set; }

    /// <summary>Why the sink can't be written, and since when; null: it can.</summary>
    public SinkFailure? Failure
    {
        get
        {
            lock (_lock) return _failure ?? (_busySince is { } since && _source.Time.GetElapsedTime(since) is var busy && busy > Patience ? new SinkFailure("it does not answer", _source.Time.GetUtcNow() - busy) : null);
        }
    }

    /// <summary>Whether it has had all there was, once since the start: before, what discloses would wait for the rest of the record.</summary>
    public bool HasCaughtUp { get => Volatile.Read(ref field); private set => Volatile.Write(ref field, value); }

    /// <summary>Where the sink and the record were found to tell two different stories.</summary>
    public AuditBreak? Conflict { get; private set; }

    /// <summary>Opens the sink and begins.</summary>
    /// <exception cref="LockstepException">unavailable when it can't be opened.</exception>
    public static async Task<SinkFollower> StartAsync(IAuditSink sink, SinkSource source, ILogger log, CancellationToken cancellationToken)
    {
        var follower = new SinkFollower(sink, source, log);
        follower._thread.Start();
        try
        {
            await follower._opened.Task.WaitAsync(Patience, source.Time, cancellationToken);
            return follower;
        }
        catch (Exception e)
        {
            follower._stop.Set();
            follower.Wake();
            if (e is LockstepException or OperationCanceledException) throw;
            throw new LockstepException(ErrorCode.Unavailable, $"the audit record can't be written to {sink.Name}: {ReasonOf(e)}; mend that, or change audit: in the settings", e);
        }
    }

    /// <summary>There may be something new.</summary>
    public void Wake() => _wake.Set();

    /// <summary>The record goes back to here: what comes after is new to the sink.</summary>
    public void Rewind(AuditTail to)
    {
        lock (_lock)
        {
            if (to.Seq >= _at.Seq) return;
            Conflict = new AuditBreak { Node = _source.Node, Seq = to.Seq + 1, Reason = $"entries up to {_at.Seq} were in {Name}, and the record ended before" };
            (_at, _rewinds, _spoiled) = (to, _rewinds + 1, Math.Min(_spoiled, to.Seq));
        }
        LogConflict(Conflict.Reason);
    }

    /// <summary>Says, in the transaction that appends them, which entries <see cref="ReachAsync"/> will wait for. To be forgotten when they were not committed.</summary>
    public SinkWait Expect(AuditTail before, AuditTail last)
    {
        var wait = new SinkWait(before.Seq, last);
        lock (_lock)
        {
            if (_waiting.Count < MaxWaiting) _waiting.Add(wait);
            else wait.Fail(Unavailable("too many wait for it"));
        }
        return wait;
    }

    public void Forget(SinkWait wait)
    {
        lock (_lock) _waiting.Remove(wait);
    }

    /// <summary>Completes when the sink has these very entries, as they were appended.</summary>
    /// <exception cref="LockstepException">unavailable when it can't be written, does not come to them in time, or finds others in their place.</exception>
    public async Task ReachAsync(SinkWait wait)
    {
        if (!wait.Reached.IsCompleted && Failure is { } failure) throw Unavailable(failure.Reason);
        Wake();
        try
        {
            await wait.Reached.WaitAsync(Patience, _source.Time);
        }
        catch (TimeoutException e)
        {
            throw AuditLog.Unavailable($"{Name}: it did not answer within {Durations.Format(Patience)}", e);
        }
    }

    /// <summary>Writes what is committed and not written yet, for a few seconds at most, and closes the sink.</summary>
    public async ValueTask DisposeAsync()
    {
        _stop.Set();
        Wake();
        try
        {
            await _ended.Task.WaitAsync(s_end, _source.Time);
        }
        catch (TimeoutException)
        {
            // A disk that hangs keeps its thread, which ends with the process.
            LogLeft(Name, Position);
        }
    }

    public LockstepException Unavailable(string reason) => AuditLog.Unavailable($"{Name}: {reason}");

    private void Run()
    {
        try
        {
            try
            {
                Open();
            }
            catch (Exception e)
            {
                _opened.SetException(e);
                return;
            }
            _opened.SetResult();
            while (true)
            {
                _wake.Reset();
                // Statement order matters: what comes after this look sets the signal again.
                var stopping = _stop.IsSet;
                var outcome = Follow();
                if (outcome == Outcome.Written) continue;
                if (stopping) return;
                if (outcome == Outcome.Failed) _stop.Wait(s_retry);
                else _wake.Wait();
            }
        }
        finally
        {
            Fail("the server is stopping");
            _sink.Dispose();
            _ended.SetResult();
        }
    }

    private Outcome Follow()
    {
        AuditTail from;
        int rewinds;
        lock (_lock) (from, rewinds, _busySince) = (_at, _rewinds, _source.Time.GetTimestamp());
        try
        {
            var rows = Read(session => AuditRow.After(session, _source.Node, from.Seq, PageSize));
            var spoiled = 0L;
            if (rows.Count > 0) _sink.Write(Lines(from, rows, out spoiled), rows[0].Seq, TailOf(rows[^1]));
            if (rows.Count > 0 || _failure is not null) Reach(rows.Count > 0 ? TailOf(rows[^1]) : from, rewinds, rows, spoiled);
            if (rows.Count < PageSize) HasCaughtUp = true;
            return rows.Count > 0 ? Outcome.Written : Outcome.Nothing;
        }
        catch (Exception e)
        {
            Fail(ReasonOf(e));
            return Outcome.Failed;
        }
        finally
        {
            lock (_lock) _busySince = null;
        }
    }

    private void Open()
    {
        var tail = Read(session => AuditChain.Tail(session, _source.Node));
        Found = tail.Seq;
        var start = ReadStart();
        var at = _sink.Open(_source.Node, tail);
        var same = at.Seq == start.Seq ? start.Mac : Read(session => AuditRow.After(session, _source.Node, at.Seq - 1, 1)) is [var row] && row.Seq == at.Seq ? row.Mac : null;
        if (at.Seq == 0 || at.Seq < start.Seq)
        {
            if (at.Seq > 0) LogGap(Name, at.Seq + 1, start.Seq);
            at = start;
        }
        else if (same is null || !same.AsSpan().SequenceEqual(at.Mac))
        {
            // Whatever happened, nothing of the record is missing from the sink, and nothing that was there is lost.
            Conflict = new AuditBreak
            {
                Node = _source.Node,
                Seq = Math.Min(at.Seq, tail.Seq + 1),
                Reason = at.Seq > tail.Seq ? $"the record ends at entry {tail.Seq}, and {Name} goes on to {at.Seq}" : $"entry {at.Seq} is not the one that {Name} has",
            };
            LogConflict(Conflict.Reason);
            at = start;
        }
        lock (_lock) _at = at;
    }

    private AuditTail ReadStart()
    {
        try
        {
            return Read(session => AuditAnchor.Read(session, _source.Node, _source.AnchorKey))?.Tail ?? AuditChain.Start;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Internal)
        {
            // Somebody changed it: what is there is carried on, and told of.
            LogConflict(e.Message);
            return AuditChain.Start;
        }
    }

    // Only what fits the chain is taken over as it stands. spoiled: the last that does not; 0: all do.
    private ReadOnlyMemory<byte> Lines(AuditTail from, List<AuditRow> rows, out long spoiled)
    {
        spoiled = 0;
        _lines.ResetWrittenCount();
        var previous = from;
        foreach (var row in rows)
        {
            var at = TailOf(row);
            var fits = row.Seq == previous.Seq + 1
                && _source.Chain.Mac(previous.Mac, row.Node, row.Seq, System.Text.Encoding.UTF8.GetBytes(row.Entry)).AsSpan().SequenceEqual(row.Mac);
            if (fits) AuditLine.Write(_lines, row.Node, at, row.Entry);
            else AuditLine.WriteDamaged(_lines, row.Node, at, DateTimeOffset.FromUnixTimeMilliseconds(row.At));
            if (!fits) LogDamaged(spoiled = row.Seq);
            previous = at;
        }
        return _lines.WrittenMemory;
    }

    // Who waits is told that all is well only of the very entries that were appended: somebody may have changed them since, or put others in their place.
    private void Reach(AuditTail at, int rewinds, List<AuditRow> rows, long spoiled)
    {
        bool recovered;
        lock (_lock)
        {
            (recovered, _failure) = (_failure is not null, null);
            if (rewinds != _rewinds) return;
            (_at, _spoiled) = (at, Math.Max(_spoiled, spoiled));
            if (spoiled > 0) Conflict ??= new AuditBreak { Node = _source.Node, Seq = spoiled, Reason = $"the entry did not fit the one before it when {Name} got it" };
            foreach (var wait in _waiting.Where(w => w.Last.Seq <= at.Seq))
            {
                if (wait.After >= _spoiled && rows.Exists(r => r.Seq == wait.Last.Seq && r.Mac.AsSpan().SequenceEqual(wait.Last.Mac))) wait.Complete();
                else wait.Fail(Unavailable("the record was changed before it got there; run: lockstep audit verify"));
            }
            _waiting.RemoveAll(w => w.Last.Seq <= at.Seq);
        }
        if (recovered) LogRecovered(Name);
    }

    private void Fail(string reason)
    {
        bool isNew;
        lock (_lock)
        {
            isNew = _failure is null && !_stop.IsSet;
            _failure = new SinkFailure(reason, _failure?.Since ?? _source.Time.GetUtcNow());
            foreach (var wait in _waiting) wait.Fail(Unavailable(reason));
            _waiting.Clear();
        }
        if (isNew) LogFailing(Name, reason);
    }

    private T Read<T>(Func<SqlSession, T> read) => _source.Database.ReadAsync(read, CancellationToken.None).GetAwaiter().GetResult();

    private static AuditTail TailOf(AuditRow row) => new(row.Seq, row.Mac);

    private static string ReasonOf(Exception e) => e is TimeoutException ? "it does not answer" : e.Message.TrimEnd('.');

    [LoggerMessage(Level = LogLevel.Error, Message = "The audit record can't be written to {Sink}, so nothing is disclosed: {Reason}")]
    private partial void LogFailing(string sink, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "The audit record is written to {Sink} again")]
    private partial void LogRecovered(string sink);

    [LoggerMessage(Level = LogLevel.Error, Message = "The audit record was changed: {Reason}; run: lockstep audit verify")]
    private partial void LogConflict(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Entry {Seq} of the audit record does not fit the chain: it was changed, or the one before it is missing")]
    private partial void LogDamaged(long seq);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Sink} lacks the entries {From} to {To} of the audit record, which are deleted since")]
    private partial void LogGap(string sink, long from, long to);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Sink} could not be brought to its end; it has the audit record up to entry {Seq}, and gets the rest with the next start")]
    private partial void LogLeft(string sink, long seq);
}

/// <summary>Why a sink can't be written, and since when.</summary>
internal sealed record SinkFailure(string Reason, DateTimeOffset Since);

/// <summary>Entries that somebody waits for: those after <paramref name="After"/>, up to <paramref name="Last"/>.</summary>
internal sealed record SinkWait(long After, AuditTail Last)
{
    private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task Reached => _reached.Task;

    public void Complete() => _reached.TrySetResult();

    public void Fail(Exception reason)
    {
        _reached.TrySetException(reason);
        // Nobody may have come to wait.
        _ = _reached.Task.Exception;
    }
}
