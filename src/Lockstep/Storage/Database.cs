using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Storage;

/// <summary>The one database of the server: many readers, one writer, the same tables in SQLite and PostgreSQL.</summary>
internal sealed partial class Database : IAsyncDisposable
{
    /// <summary>The file of an SQLite database, in the data directory.</summary>
    public const string FileName = "lockstep.db";

    private static readonly TimeSpan s_claimWait = TimeSpan.FromSeconds(3);

    private readonly Dialect _dialect;
    private readonly Readers _readers;
    private readonly Writer _writer;
    private readonly TimeProvider _time;
    private int _disposed;

    private Database(Dialect dialect, Writer writer, string epoch, TimeProvider time)
    {
        _time = time;
        _dialect = dialect;
        _writer = writer;
        _readers = new(dialect);
        Epoch = epoch;
    }

    /// <summary>The random id of this history of releases, made with the database.</summary>
    public string Epoch { get; private set; }

    /// <summary>How many write transactions were committed since the start, for metrics.</summary>
    public long Commits => _writer.Commits;

    /// <summary>Called after each commit, by the one who writes: it must be short.</summary>
    public Action? Committed { get => _writer.Committed; set => _writer.Committed = value; }

    /// <summary>Why the last write failed for the database's own reasons, and since when they do; null when writes work.</summary>
    public WriteFailure? WriteFailure => _writer.LastFailure;

    /// <summary>
    /// Opens the database and brings its tables up to date: <c>lockstep.db</c> in the data directory, which the caller holds locked
    /// (<see cref="DataDirectory.Lock"/>), or the PostgreSQL that <paramref name="databaseUrl"/> names.
    /// </summary>
    /// <exception cref="LockstepException">unavailable when it can't be opened or another server uses it, conflict when it is newer than the program.</exception>
    public static async Task<Database> OpenAsync(
        string dataDirectory, string? databaseUrl, ILoggerFactory loggers, TimeProvider time, CancellationToken cancellationToken)
    {
        var logger = loggers.CreateLogger<Database>();
        Dialect dialect = databaseUrl is null ? new SqliteDialect(Path.Combine(Path.GetFullPath(dataDirectory), FileName)) : new PostgresDialect(databaseUrl);
        SqlSession? session = null;
        try
        {
            session = new SqlSession(dialect.OpenWriter());
            await ClaimAsync(dialect, session, time, cancellationToken);
            var claim = new WriterClaim();
            var (epoch, applied) = Prepare(dialect, session, claim);
            foreach (var number in applied) LogMigrated(logger, dialect.Name, number);
            return new Database(dialect, new Writer(dialect, session, claim, loggers.CreateLogger<Writer>(), time), epoch, time);
        }
        catch (Exception e)
        {
            session?.Dispose();
            await dialect.DisposeAsync();
            if (e is not LockstepException && dialect.Unavailable(e) is { } reason)
                throw new LockstepException(ErrorCode.Unavailable, $"the database {dialect.Name} can't be opened: {reason}", e);
            throw;
        }
    }

    /// <summary>Begins a new history of releases: what clients hold from before means nothing any more.</summary>
    public async Task RenewEpochAsync(CancellationToken cancellationToken) => Epoch = await WriteAsync(NewEpoch, cancellationToken);

    /// <summary>Runs a read on one of several read connections; it sees one committed state and never waits for the writer. <paramref name="read"/> runs
    /// on the calling thread, and a second time when the connection turns out to be lost.</summary>
    public Task<T> ReadAsync<T>(Func<SqlSession, T> read, CancellationToken cancellationToken) => _readers.ReadAsync(read, cancellationToken);

    /// <summary>Runs <paramref name="write"/> in a transaction of the one writer. The task completes after the commit is durable; when <paramref name="write"/>
    /// throws, only its own statements are undone. Everything that waits at the same time shares one commit. <paramref name="write"/> runs on the writer's
    /// thread: it must be short and wait for nothing. Cancellation is heard until it begins.</summary>
    /// <exception cref="LockstepException">unavailable when the database can't be written; when a connection is lost in mid-commit the write may be there or not.</exception>
    /// <param name="write">The statements.</param>
    /// <param name="cancellationToken">Until it begins.</param>
    /// <param name="here">Whether it may run on the calling thread when nothing else is written: quicker for one write at a time, and this thread is blocked for as long as the disk takes.</param>
    public Task<T> WriteAsync<T>(Func<SqlSession, T> write, CancellationToken cancellationToken, bool here = false) =>
        Telemetry.Source.HasListeners() ? TracedAsync(write, here, cancellationToken) : WriteNowAsync(write, here, cancellationToken);

    // The wait for the writer and for the disk, as those who wait see it.
    private async Task<T> TracedAsync<T>(Func<SqlSession, T> write, bool here, CancellationToken cancellationToken)
    {
        using var span = Telemetry.Source.StartActivity("database write");
        return await WriteNowAsync(write, here, cancellationToken);
    }

    private Task<T> WriteNowAsync<T>(Func<SqlSession, T> write, bool here, CancellationToken cancellationToken)
    {
        var operation = new WriteOperation<T>(write, cancellationToken);
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!here || !_writer.TryRun(operation)) _writer.Enqueue(operation);
            return operation.Task;
        }
        catch (Exception e)
        {
            operation.Failure = e;
            operation.Answer();
            return operation.Task;
        }
    }

    /// <summary>Whether writes work now: the cause when they do not. After a failure it tries one, so that readiness comes back by itself.</summary>
    public async Task<WriteFailure?> CheckWritableAsync(CancellationToken cancellationToken)
    {
        if (WriteFailure is null) return null;
        try
        {
            // As large as the largest value: on a disk that is all but full the smallest writes come and go.
            // And different each time: SQLite writes no page that stays as it is.
            await WriteAsync(session => { Meta.SetData(session, "write-check", RandomNumberGenerator.GetBytes(64 * 1024)); return true; }, cancellationToken);
            return null;
        }
        catch (LockstepException)
        {
            return WriteFailure;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        // Readers first: SQLite empties its log when the last connection, the writer's, closes.
        await _readers.DisposeAsync();
        await Task.Run(_writer.Dispose);
        await _dialect.DisposeAsync();
    }

    // A server that was killed a moment ago may still hold its lock: its connection ends when PostgreSQL notices.
    private static async Task ClaimAsync(Dialect dialect, SqlSession session, TimeProvider time, CancellationToken cancellationToken)
    {
        var start = time.GetTimestamp();
        while (dialect.Claim(session) is { } refusal)
        {
            if (time.GetElapsedTime(start) > s_claimWait)
                throw new LockstepException(ErrorCode.Unavailable, $"the database {dialect.Name} can't be opened: {refusal}");
            await Task.Delay(TimeSpan.FromMilliseconds(100), time, cancellationToken);
        }
    }

    private static (string Epoch, IReadOnlyList<int> Applied) Prepare(Dialect dialect, SqlSession session, WriterClaim claim)
    {
        session.Execute(dialect.BeginWrite);
        var applied = Migrator.Apply(dialect, session);
        var epoch = Meta.GetText(session, "epoch") ?? NewEpoch(session);
        claim.Record(session);
        session.Execute("COMMIT");
        return (epoch, applied);
    }

    /// <summary>Begins a new history of releases inside a write.</summary>
    public static string NewEpoch(SqlSession session)
    {
        var epoch = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        Meta.SetText(session, "epoch", epoch);
        return epoch;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Database {Database} brought to format {Format}")]
    private static partial void LogMigrated(ILogger logger, string database, int format);
}
