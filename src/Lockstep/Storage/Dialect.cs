using System.Data.Common;

namespace Lockstep.Storage;

/// <summary>What differs between the databases: connecting, the words of a transaction, a few types, and which errors mean what.</summary>
internal abstract class Dialect : IAsyncDisposable
{
    /// <summary>What messages call it: a file's path, or a host and database. Never a password.</summary>
    public abstract string Name { get; }

    public abstract string BeginWrite { get; }

    public abstract string BeginRead { get; }

    /// <summary>Opens the connection that writes.</summary>
    public abstract DbConnection OpenWriter();

    /// <summary>Opens a connection that only reads.</summary>
    public abstract DbConnection OpenReader();

    /// <summary>Makes <paramref name="session"/> the one writer, or says why it can't be; null when it is.</summary>
    public abstract string? Claim(SqlSession session);

    /// <summary>Whether the table exists.</summary>
    public abstract bool HasTable(SqlSession session, string table);

    /// <summary>Why the database itself can't do its work now and what to do, when that is what the error means; null for any other error.</summary>
    public abstract string? Unavailable(Exception error);

    /// <summary>Fills in <c>{bigint}</c>, <c>{blob}</c> and <c>{text}</c> of a migration.</summary>
    public abstract string Expand(string migration);

    /// <summary>Empties the log of writes, in which overwritten rows still stand, where there is one and it is this program's to empty; false while somebody reads in it.</summary>
    public virtual bool TruncateLog() => true;

    public abstract ValueTask DisposeAsync();
}
