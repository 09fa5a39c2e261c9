using System.Data;
using Lockstep.Client;

namespace Lockstep.Storage;

internal sealed partial class Database
{
    /// <summary>Reads one committed state for as long as it takes, on a connection and a thread of its own.</summary>
    public Task<T> SnapshotAsync<T>(Func<SqlSession, T> read, CancellationToken cancellationToken) => Task.Run(() =>
    {
        try
        {
            using var session = new SqlSession(_dialect.OpenReader());
            session.Execute(_dialect.BeginRead);
            try
            {
                return read(session);
            }
            finally
            {
                if (session.Connection.State == ConnectionState.Open) session.Execute("ROLLBACK");
            }
        }
        catch (Exception e) when (e is not LockstepException && e is System.Data.Common.DbException && _dialect.Unavailable(e) is { } reason)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the database {_dialect.Name} can't be read: {reason}", e);
        }
    }, cancellationToken);

    /// <summary>Empties the log of writes, in which what was overwritten still stands. Best effort: not while somebody reads for long, and not on a disk that fails;
    /// it is emptied when the database is closed, at the latest.</summary>
    public async Task TruncateLogAsync(CancellationToken cancellationToken)
    {
        for (var attempt = 0; attempt < 5; attempt++)
        {
            if (attempt > 0) await Task.Delay(TimeSpan.FromSeconds(1), _time, cancellationToken);
            try
            {
                if (await Task.Run(_dialect.TruncateLog, cancellationToken)) return;
            }
            catch (Exception e) when (e is LockstepException || _dialect.Unavailable(e) is not null)
            {
                // Whoever writes next tells of it.
            }
        }
    }

    /// <summary>Fills a database that is empty, in one transaction: all is there in the end, or nothing.</summary>
    /// <param name="place">The data directory, which the caller holds locked, and the URL of a PostgreSQL, if it is one.</param>
    /// <param name="time">The clock.</param>
    /// <param name="format">The format of the tables that <paramref name="fill"/> sees.</param>
    /// <param name="fill">Writes the rows.</param>
    /// <param name="end">The last statements, on tables of this program's format.</param>
    /// <param name="cancellationToken">Heard until it begins.</param>
    /// <exception cref="LockstepException">already-exists when it is not empty.</exception>
    public static async Task FillAsync(
        (string DataDirectory, string? Url) place, TimeProvider time, int format, Action<SqlSession> fill, Action<SqlSession> end, CancellationToken cancellationToken)
    {
        await using Dialect dialect = place.Url is null ? new SqliteDialect(Path.Combine(Path.GetFullPath(place.DataDirectory), FileName)) : new PostgresDialect(place.Url);
        try
        {
            using var session = new SqlSession(dialect.OpenWriter());
            await ClaimAsync(dialect, session, time, cancellationToken);
            if (dialect.HasTable(session, "meta"))
                throw new LockstepException(ErrorCode.AlreadyExists, $"the database {dialect.Name} is not empty; restore into a new one, so that nothing is lost");
            session.Execute(dialect.BeginWrite);
            Migrator.Apply(dialect, session, format);
            session.Execute("DELETE FROM meta");
            fill(session);
            Migrator.Apply(dialect, session);
            end(session);
            session.Execute("COMMIT");
        }
        catch (Exception e) when (e is not LockstepException && dialect.Unavailable(e) is { } reason)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the database {dialect.Name} can't be written: {reason}", e);
        }
    }
}
