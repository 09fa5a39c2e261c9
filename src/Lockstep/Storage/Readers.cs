using System.Collections.Concurrent;
using System.Data;
using Lockstep.Client;

namespace Lockstep.Storage;

/// <summary>A few connections that only read, opened when first needed and kept. Each read is a transaction: it sees one committed state.</summary>
internal sealed class Readers(Dialect dialect) : IAsyncDisposable
{
    private static readonly int s_count = Math.Clamp(Environment.ProcessorCount * 2, 4, 16);

    private readonly ConcurrentBag<SqlSession> _idle = [];
    private readonly SemaphoreSlim _free = new(s_count);

    public async Task<T> ReadAsync<T>(Func<SqlSession, T> read, CancellationToken cancellationToken)
    {
        try
        {
            await _free.WaitAsync(cancellationToken);
        }
        catch (ObjectDisposedException e)
        {
            throw new LockstepException(ErrorCode.Unavailable, "the database is closed: the server is stopping", e);
        }
        try
        {
            if (_idle.TryTake(out var kept))
            {
                try
                {
                    return Run(kept, read);
                }
                catch (Exception e) when (kept.Connection.State != ConnectionState.Open && dialect.Unavailable(e) is not null)
                {
                    // An idle connection may have died long ago (a restarted server, a firewall); a fresh one decides.
                }
            }
            cancellationToken.ThrowIfCancellationRequested();
            return Run(new SqlSession(dialect.OpenReader()), read);
        }
        catch (Exception e) when (e is not LockstepException && dialect.Unavailable(e) is not null)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the database {dialect.Name} can't be read: {dialect.Unavailable(e)}", e);
        }
        finally
        {
            _free.Release();
        }
    }

    /// <summary>Waits for the reads that run.</summary>
    public async ValueTask DisposeAsync()
    {
        for (var i = 0; i < s_count; i++) await _free.WaitAsync();
        while (_idle.TryTake(out var session)) session.Dispose();
        _free.Dispose();
    }

    private T Run<T>(SqlSession session, Func<SqlSession, T> read)
    {
        var sound = false;
        try
        {
            session.Execute(dialect.BeginRead);
            T result;
            try
            {
                result = read(session);
            }
            finally
            {
                if (session.Connection.State == ConnectionState.Open) session.Execute("ROLLBACK");
            }
            sound = true;
            return result;
        }
        finally
        {
            // After an error the connection is not worth reasoning about.
            if (sound) _idle.Add(session);
            else session.Dispose();
        }
    }
}
