using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Runtime.ExceptionServices;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Storage;

/// <summary>
/// The one who writes: a thread of its own, or, where nothing else is written or waits, the caller's. It takes all operations that wait, runs them in one transaction, each behind a savepoint, and commits once.
/// Nobody is answered, with success or with an error, before that commit is durable: an error may rest on what another operation of the
/// group wrote. When the commit fails, or the database itself does, the whole group fails.
/// </summary>
internal sealed partial class Writer : IDisposable
{
    private const int MaxQueue = 8192;
    private const int MaxGroup = 1024;

    private static readonly Histogram<double> s_commits = Telemetry.Seconds("lockstep.database.commit.duration", "What the database took to make a group of writes durable");

    private readonly Dialect _dialect;
    private readonly WriterClaim _claim;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly Thread _thread;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly Queue<WriteOperation> _queue = new();
    private SqlSession? _session;
    private long _commits;
    private bool _writing;
    private bool _stopping;

    /// <summary>Takes over <paramref name="session"/>, which <paramref name="claim"/> was made on.</summary>
    public Writer(Dialect dialect, SqlSession session, WriterClaim claim, ILogger logger, TimeProvider time)
    {
        _dialect = dialect;
        _session = session;
        _claim = claim;
        _logger = logger;
        _time = time;
        _thread = new Thread(Work) { IsBackground = true, Name = "database writer" };
        _thread.Start();
    }

    /// <summary>How many transactions were committed, for metrics.</summary>
    public long Commits => Interlocked.Read(ref _commits);

    /// <summary>Called after each commit.</summary>
    public Action? Committed { get => Volatile.Read(ref field); set => Volatile.Write(ref field, value); }

    /// <summary>Why the last group could not be written and since when; null when it could.</summary>
    public WriteFailure? LastFailure { get => Volatile.Read(ref field); private set => Volatile.Write(ref field, value); }

    public void Enqueue(WriteOperation operation)
    {
        lock (_lock)
        {
            if (_stopping) throw new LockstepException(ErrorCode.Unavailable, "the database is closed: the server is stopping");
            if (_queue.Count >= MaxQueue)
                throw new LockstepException(ErrorCode.Unavailable, "the database can't keep up with the writes that wait; try again later") { RetryAfter = TimeSpan.FromSeconds(1) };
            _queue.Enqueue(operation);
            if (_queue.Count == 1) _wake.Release();
        }
    }

    /// <summary>Runs an operation on this thread, which saves the way to the other and back; false, with nothing done, when somebody writes or waits.</summary>
    public bool TryRun(WriteOperation operation)
    {
        lock (_lock)
        {
            if (_writing || _stopping || _queue.Count > 0) return false;
            _writing = true;
        }
        try
        {
            Run([operation]);
        }
        finally
        {
            lock (_lock)
            {
                _writing = false;
                // What came meanwhile is the thread's, and so is the end.
                if (_queue.Count > 0 || _stopping) _wake.Release();
            }
        }
        operation.Answer();
        return true;
    }

    /// <summary>Writes what waits, then stops.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_stopping) return;
            _stopping = true;
            _wake.Release();
        }
        _thread.Join();
        _session?.Dispose();
        _wake.Dispose();
    }

    private void Work()
    {
        var group = new List<WriteOperation>();
        while (Take(group))
        {
            Run(group);
            lock (_lock) _writing = false;
            foreach (var operation in group) operation.Answer();
            group.Clear();
        }
    }

    // False when it is time to stop and nothing waits.
    private bool Take(List<WriteOperation> group)
    {
        while (true)
        {
            lock (_lock)
            {
                while (!_writing && group.Count < MaxGroup && _queue.TryDequeue(out var operation)) group.Add(operation);
                if (group.Count > 0)
                {
                    _writing = true;
                    // The signal is given only to an empty queue, so what stays behind must be signalled here.
                    if (_queue.Count > 0) _wake.Release();
                    return true;
                }
                if (_stopping && !_writing) return false;
            }
            _wake.Wait();
        }
    }

    private void Run(List<WriteOperation> group)
    {
        try
        {
            var session = _session ??= Reconnect();
            session.Execute(_dialect.BeginWrite);
            // A single operation that fails is undone with its transaction: no savepoint.
            var mark = group.Count == 1 ? null : "SAVEPOINT operation";
            foreach (var operation in group) RunOne(session, operation, group.Count == 1, ref mark);
            if (group.Exists(o => o.Failure is null))
            {
                var start = Stopwatch.GetTimestamp();
                session.Execute("COMMIT");
                s_commits.Record(Stopwatch.GetElapsedTime(start).TotalSeconds);
                Interlocked.Increment(ref _commits);
                if (LastFailure is not null) LogRecovered(_logger, _dialect.Name);
                LastFailure = null;
                Committed?.Invoke();
            }
            else
            {
                session.Execute("ROLLBACK");
            }
        }
        catch (Exception e)
        {
            Fail(group, e);
        }
    }

    // Throws only what ends the whole group. mark: the statement, if any, that puts a savepoint before this operation; one round trip an operation.
    private void RunOne(SqlSession session, WriteOperation operation, bool alone, ref string? mark)
    {
        if (operation.CancellationToken.IsCancellationRequested)
        {
            operation.Failure = new OperationCanceledException(operation.CancellationToken);
            return;
        }
        session.Failure = null;
        if (mark is not null) session.Execute(mark);
        try
        {
            operation.Run(session);
            if (session.Failure is { } hidden) ExceptionDispatchInfo.Throw(hidden);
            if (!alone) mark = "RELEASE SAVEPOINT operation; SAVEPOINT operation";
        }
        catch (Exception e) when (session.Failure is null || _dialect.Unavailable(session.Failure) is null)
        {
            operation.Failure = e;
            // The savepoint itself stays, and serves the next operation.
            if (!alone) session.Execute("ROLLBACK TO SAVEPOINT operation");
            mark = null;
        }
    }

    private void Fail(List<WriteOperation> group, Exception error)
    {
        // What an operation made of a lost connection is not the cause; the statement that failed first is.
        var reason = Reason(error) ?? (_session?.Failure is { } first ? Reason(first) : null);
        if (reason is null) LogDefect(_logger, error);
        else if (LastFailure is null) LogUnwritable(_logger, _dialect.Name, reason, error);
        if (reason is not null) LastFailure = new(reason, LastFailure?.Since ?? _time.GetUtcNow());
        foreach (var operation in group)
        {
            operation.Failure = reason is null
                ? new LockstepException(ErrorCode.Internal, "the database did not take a group of writes, this one among them; nothing of it was kept. The server's log has the reason", error)
                : new LockstepException(ErrorCode.Unavailable, $"the database can't be written: {reason}", error) { RetryAfter = TimeSpan.FromSeconds(2) };
        }
        try
        {
            _session?.Execute("ROLLBACK");
        }
        catch (Exception)
        {
            // The connection is lost, or SQLite has undone the transaction by itself: either way a new connection is in a known state.
            _session?.Dispose();
            _session = null;
        }
    }

    private string? Reason(Exception error) =>
        error is LockstepException { Code: var code, InnerException: { } inner } && code == ErrorCode.Unavailable ? _dialect.Unavailable(inner) ?? error.Message
        : error is WriterClaimException ? error.Message
        : _dialect.Unavailable(error);

    private SqlSession Reconnect()
    {
        var session = new SqlSession(_dialect.OpenWriter());
        try
        {
            _claim.Retake(_dialect, session);
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Database {Database} can't be written: {Reason}")]
    private static partial void LogUnwritable(ILogger logger, string database, string reason, Exception error);

    [LoggerMessage(Level = LogLevel.Information, Message = "Database {Database} can be written again")]
    private static partial void LogRecovered(ILogger logger, string database);

    [LoggerMessage(Level = LogLevel.Error, Message = "A group of writes failed to commit")]
    private static partial void LogDefect(ILogger logger, Exception error);
}

/// <summary>Why writes fail and since when, for readiness.</summary>
internal sealed record WriteFailure(string Reason, DateTimeOffset Since);
