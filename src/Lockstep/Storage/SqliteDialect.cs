using System.Data.Common;
using Lockstep.Client;
using Microsoft.Data.Sqlite;

namespace Lockstep.Storage;

/// <summary>SQLite in one file: write-ahead log, every commit on disk before it is acknowledged.</summary>
internal sealed class SqliteDialect : Dialect
{
    private readonly string _path;

    public SqliteDialect(string path)
    {
        _path = path;
        SqliteNative.Load();
    }

    public override string Name => _path;

    public override string BeginWrite => "BEGIN IMMEDIATE";

    public override string BeginRead => "BEGIN";

    public override DbConnection OpenWriter()
    {
        // The log and the shared memory file get the mode of the main file.
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        new FileStream(_path, options).Dispose();
        // fullfsync: on macOS a plain fsync does not reach the disk. secure_delete: purged ciphertext does not stay in free pages.
        return Open(SqliteOpenMode.ReadWrite, """
            PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
            PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 1000; PRAGMA journal_size_limit = 67108864;
            """);
    }

    public override DbConnection OpenReader() => Open(SqliteOpenMode.ReadOnly, "PRAGMA query_only = ON;");

    // The lock of the data directory already keeps a second server out.
    public override string? Claim(SqlSession session) => null;

    public override bool HasTable(SqlSession session, string table) => session.First(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = @name", r => r.GetInt64(0), ("@name", table)) == 1;

    /// <summary>The tables of a format with their columns, by name: what this program makes, whatever else there is in a database.</summary>
    public static IReadOnlyList<(string Table, IReadOnlyList<string> Columns)> Schema(int format)
    {
        var dialect = new SqliteDialect(":memory:");
        var connection = new SqliteConnection("Data Source=:memory:;Pooling=False");
        using var session = new SqlSession(connection);
        connection.Open();
        Migrator.Apply(dialect, session, format);
        var columns = session.Query(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid",
            r => (Table: r.GetString(0), Column: r.GetString(1)));
        return [.. columns.GroupBy(c => c.Table, c => c.Column, StringComparer.Ordinal).Select(t => (t.Key, (IReadOnlyList<string>)t.ToList()))];
    }

    // On a connection of its own, as the writer's is in transactions. It waits only shortly for readers, as writers wait meanwhile.
    public override bool TruncateLog()
    {
        using var session = new SqlSession(Open(SqliteOpenMode.ReadWrite, "PRAGMA synchronous = FULL; PRAGMA checkpoint_fullfsync = ON; PRAGMA busy_timeout = 1000;"));
        return session.First("PRAGMA wal_checkpoint(TRUNCATE)", r => r.GetInt64(0)) == 0;
    }

    public override string? Unavailable(Exception error) => error switch
    {
        SqliteException { SqliteErrorCode: 13 } => "the disk is full; free some space where the data directory is",
        SqliteException { SqliteErrorCode: 8 } => "the file or its file system is read-only; make it writable",
        SqliteException { SqliteErrorCode: 10 } e => $"the disk reports an error (code {e.SqliteExtendedErrorCode}); look at the disk, its free space and the kernel's log",
        SqliteException { SqliteErrorCode: 14 } => "the file can't be opened; check its directory, owner and mode",
        SqliteException { SqliteErrorCode: 5 or 6 } => "another program holds it locked; end that program",
        SqliteException { SqliteErrorCode: 7 } => "there is no memory left; give the process more",
        SqliteException { SqliteErrorCode: 11 or 26 } => "the file is damaged or no database; restore it from a backup",
        SqliteException { SqliteErrorCode: 22 } => "the file is larger than the file system allows",
        IOException or UnauthorizedAccessException => error.Message,
        _ => null,
    };

    public override string Expand(string migration) => migration
        .Replace("{bigint}", "INTEGER", StringComparison.Ordinal)
        .Replace("{blob}", "BLOB", StringComparison.Ordinal)
        .Replace("{text}", "TEXT", StringComparison.Ordinal)
        .Replace("{clustered}", "WITHOUT ROWID", StringComparison.Ordinal);

    public override ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private SqliteConnection Open(SqliteOpenMode mode, string pragmas)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = _path,
            Mode = mode,
            Pooling = false,
            ForeignKeys = true,
            DefaultTimeout = 5,
        }.ToString());
        try
        {
            connection.Open();
            using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Constants.
            command.CommandText = "PRAGMA busy_timeout = 5000; " + pragmas;
#pragma warning restore CA2100
            command.ExecuteNonQuery();
            return connection;
        }
        catch (Exception e)
        {
            connection.Dispose();
            if (Unavailable(e) is { } reason) throw new LockstepException(ErrorCode.Unavailable, $"the database {_path} can't be opened: {reason}", e);
            throw;
        }
    }
}
