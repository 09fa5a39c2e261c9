using System.Data.Common;

namespace Lockstep.Storage;

/// <summary>
/// One connection's view of the database, inside a read or the writer's transaction. SQL is the part that SQLite and PostgreSQL share:
/// named parameters <c>@name</c>, <c>ON CONFLICT</c>, <c>RETURNING</c>. Times are Unix milliseconds.
/// <para>Parameters are string, int, long, bool (0 or 1), byte[] or null. The same SQL text must always come with the same parameters in the
/// same order: the command is kept prepared. Rows are read to the end before a call returns; <c>read</c> must not use the session.</para>
/// <para>In a write, a statement that fails fails its whole operation, also when the exception is caught: PostgreSQL allows nothing else.</para>
/// </summary>
internal sealed class SqlSession(DbConnection connection) : IDisposable
{
    // A bound for SQL text made on the fly; the program's own statements are far fewer.
    private const int MaxCommands = 256;

    private readonly Dictionary<string, DbCommand> _commands = new(StringComparer.Ordinal);

    /// <summary>The first statement that failed since it was last set to null; the writer looks at it.</summary>
    internal Exception? Failure { get; set; }

    internal DbConnection Connection => connection;

    /// <summary>Runs a statement and returns the number of rows it changed.</summary>
    public int Execute(string sql, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        try
        {
            return Command(sql, parameters).ExecuteNonQuery();
        }
        catch (Exception e)
        {
            Failure ??= e;
            throw;
        }
    }

    /// <summary>The rows of a query, each made by <paramref name="read"/>.</summary>
    public List<T> Query<T>(string sql, Func<DbDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        var rows = new List<T>();
        try
        {
            using var reader = Command(sql, parameters).ExecuteReader();
            while (reader.Read()) rows.Add(read(reader));
        }
        catch (Exception e)
        {
            Failure ??= e;
            throw;
        }
        return rows;
    }

    /// <summary>Gives the rows of a query to <paramref name="row"/> one after the other, so that they need not fit into memory.</summary>
    public void Each(string sql, Action<DbDataReader> row, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        using var reader = Command(sql, parameters).ExecuteReader();
        while (reader.Read()) row(reader);
    }

    /// <summary>The first row of a query, or <c>default</c>.</summary>
    public T? First<T>(string sql, Func<DbDataReader, T> read, params ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        try
        {
            using var reader = Command(sql, parameters).ExecuteReader();
            return reader.Read() ? read(reader) : default;
        }
        catch (Exception e)
        {
            Failure ??= e;
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var command in _commands.Values) command.Dispose();
        _commands.Clear();
        connection.Dispose();
    }

    /// <summary>Runs statements that are used once, without keeping them.</summary>
    internal void Script(string sql)
    {
        using var command = connection.CreateCommand();
#pragma warning disable CA2100 // Embedded migrations and constants only.
        command.CommandText = sql;
#pragma warning restore CA2100
        command.ExecuteNonQuery();
    }

    private DbCommand Command(string sql, ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        if (!_commands.TryGetValue(sql, out var command))
            command = Create(sql, parameters);
        else if (command.Parameters.Count != parameters.Length)
            throw new InvalidOperationException($"One SQL text with two sets of parameters: {sql}");
        for (var i = 0; i < parameters.Length; i++)
        {
            var parameter = command.Parameters[i];
            if (!string.Equals(parameter.ParameterName, parameters[i].Name, StringComparison.Ordinal))
                throw new InvalidOperationException($"One SQL text with two sets of parameters: {sql}");
            parameter.Value = Value(parameters[i]);
        }
        return command;
    }

    private DbCommand Create(string sql, ReadOnlySpan<(string Name, object? Value)> parameters)
    {
        if (_commands.Count >= MaxCommands)
        {
            foreach (var old in _commands.Values) old.Dispose();
            _commands.Clear();
        }
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // The text is the caller's constant; values only come as parameters.
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, _) in parameters)
        {
            var parameter = command.CreateParameter();
            parameter.ParameterName = name;
            command.Parameters.Add(parameter);
        }
        _commands.Add(sql, command);
        return command;
    }

    // One type per kind, so that a prepared statement stays the same one.
    private static object Value((string Name, object? Value) parameter) => parameter.Value switch
    {
        null => DBNull.Value,
        string or long or byte[] => parameter.Value,
        int number => (long)number,
        bool flag => flag ? 1L : 0L,
        _ => throw new InvalidOperationException($"Parameter {parameter.Name}: {parameter.Value.GetType().Name} is not a database type here."),
    };
}
