using System.Data.Common;
using System.Globalization;
using Lockstep.Client;
using Npgsql;

namespace Lockstep.Storage;

/// <summary>PostgreSQL 13 or newer. A session advisory lock keeps a second server off the same database.</summary>
internal sealed class PostgresDialect : Dialect
{
    // "lockstep" in ASCII.
    private const long LockKey = 0x6C6F636B73746570;

    private readonly NpgsqlDataSource _source;

    public PostgresDialect(string databaseUrl)
    {
        var settings = PostgresUrl.Parse(databaseUrl);
        settings.ApplicationName ??= $"lockstep {Environment.MachineName} pid {Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}";
        settings.Timeout = 5;
        settings.CommandTimeout = 15;
        settings.CancellationTimeout = 2000;
        settings.KeepAlive = 10;
        settings.MaxAutoPrepare = 256;
        settings.AutoPrepareMinUsages = 2;
        settings.IncludeErrorDetail = false;
        // Connections are kept by the writer and the readers themselves.
        settings.Pooling = false;
        Name = string.Create(CultureInfo.InvariantCulture, $"{settings.Host}:{settings.Port}/{settings.Database}");
        _source = NpgsqlDataSource.Create(settings);
    }

    public override string Name { get; }

    public override string BeginWrite => "BEGIN";

    public override string BeginRead => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

    public override DbConnection OpenWriter()
    {
        var connection = Open();
        try
        {
            if (connection.PostgreSqlVersion.Major < 13)
                throw new LockstepException(ErrorCode.Unavailable, $"PostgreSQL at {Name} is {connection.PostgreSqlVersion}; Lockstep needs 13 or newer.");
            using var command = new NpgsqlCommand("SET synchronous_commit = on; SET client_min_messages = warning", connection);
            command.ExecuteNonQuery();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    public override DbConnection OpenReader() => Open();

    public override string? Claim(SqlSession session)
    {
        if (session.First("SELECT pg_try_advisory_lock(@key)", r => r.GetBoolean(0), ("@key", LockKey))) return null;
        var holder = session.First(
            """
            SELECT a.application_name, a.backend_start::text FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
              AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
              AND l.classid::bigint = @high AND l.objid::bigint = @low
            """,
            r => $" ({r.TextOrNull(0)}, since {r.TextOrNull(1)})", ("@high", LockKey >> 32), ("@low", LockKey & 0xFFFF_FFFF));
        return $"another Lockstep server uses it{holder}; stop that one first";
    }

    public override bool HasTable(SqlSession session, string table) =>
        session.First("SELECT to_regclass(@name) IS NOT NULL", r => r.GetBoolean(0), ("@name", table));

    public override string? Unavailable(Exception error) => error switch
    {
        PostgresException { SqlState: "53100" } => "the database's disk is full; free some space there",
        PostgresException { SqlState: "25006" } => "it is read-only (a standby?); point the setting database: at the primary",
        PostgresException { SqlState: "28P01" or "28000" } => "it refuses the user or the password; check the setting database: or the password file",
        PostgresException { SqlState: "3D000" } => "there is no database of that name; create it",
        PostgresException { SqlState: var state } e when state.StartsWith("53", StringComparison.Ordinal) || state.StartsWith("57P", StringComparison.Ordinal)
            || state.StartsWith("58", StringComparison.Ordinal) || state.StartsWith("08", StringComparison.Ordinal) || state.StartsWith("XX", StringComparison.Ordinal)
            => $"{e.MessageText} ({state}); look at the PostgreSQL server",
        // A statement that the server ended (57014) or that timed out leaves the connection of no use.
        PostgresException { SqlState: "57014" } => "it takes too long to answer; look at the PostgreSQL server",
        PostgresException => null,
        NpgsqlException { InnerException: TimeoutException } => "it takes too long to answer; look at the PostgreSQL server and the network",
        NpgsqlException or IOException or System.Net.Sockets.SocketException or TimeoutException => "the connection failed; check that the PostgreSQL server runs and can be reached",
        _ => null,
    };

    public override string Expand(string migration) => migration
        .Replace("{bigint}", "BIGINT", StringComparison.Ordinal)
        .Replace("{blob}", "BYTEA", StringComparison.Ordinal)
        .Replace("{text}", "TEXT COLLATE \"C\"", StringComparison.Ordinal)
        .Replace("{clustered}", "", StringComparison.Ordinal);

    public override ValueTask DisposeAsync() => _source.DisposeAsync();

    private NpgsqlConnection Open()
    {
        try
        {
            return _source.OpenConnection();
        }
        catch (Exception e) when (Unavailable(e) is not null)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the database {Name} can't be opened: {Unavailable(e)}", e);
        }
    }
}
