using System.Data.Common;
using System.Text;

namespace Lockstep.Storage.Backup;

/// <summary>
/// Writes tables in a form that belongs to neither database: each table's name and columns, its rows of numbers, texts and bytes; then a bundle of the repository, if there is one;
/// then how many of each there were.
/// </summary>
internal sealed class BackupWriter(Stream stream) : IDisposable
{
    internal const byte Table = (byte)'T';
    internal const byte Row = (byte)'R';
    internal const byte Bundle = (byte)'B';
    internal const byte End = (byte)'E';

    // What belongs to a process, not to the data.
    private static readonly HashSet<string> s_left = new(StringComparer.Ordinal) { "writer", "write-check" };

    private readonly BinaryWriter _out = new(stream, Encoding.UTF8, leaveOpen: true);
    private readonly SortedDictionary<string, long> _rows = new(StringComparer.Ordinal);
    private long _bundle;

    /// <summary>All tables of <paramref name="format"/> as this session sees them. What others put into the database, and into tables of ours, is not ours to keep or to restore.</summary>
    public void Tables(SqlSession session, int format, CancellationToken cancellationToken)
    {
        foreach (var (table, columns) in SqliteDialect.Schema(format))
        {
            _out.Write(Table);
            Text(table);
            _out.Write7BitEncodedInt(columns.Count);
            foreach (var column in columns) Text(column);
            var rows = 0L;
            session.Each($"SELECT {string.Join(", ", columns)} FROM {table}", row =>
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (table == "meta" && s_left.Contains(row.GetString(((List<string>)columns).IndexOf("name")))) return;
                _out.Write(Row);
                for (var i = 0; i < columns.Count; i++) Value(row, i);
                rows++;
            });
            _rows.Add(table, rows);
        }
    }

    /// <summary>A part of the repository's bundle.</summary>
    public void Part(ReadOnlySpan<byte> part)
    {
        if (part.IsEmpty) return;
        _out.Write(Bundle);
        _out.Write7BitEncodedInt(part.Length);
        _out.Write(part);
        _bundle += part.Length;
    }

    public void Finish()
    {
        _out.Write(End);
        _out.Write7BitEncodedInt(_rows.Count);
        foreach (var (table, rows) in _rows)
        {
            Text(table);
            _out.Write7BitEncodedInt64(rows);
        }
        _out.Write7BitEncodedInt64(_bundle);
        _out.Flush();
    }

    public void Dispose() => _out.Dispose();

    private void Value(DbDataReader row, int column)
    {
        switch (row.GetValue(column))
        {
            case DBNull:
                _out.Write((byte)0);
                break;
            case long or int:
                _out.Write((byte)1);
                _out.Write(row.GetInt64(column));
                break;
            case string text:
                _out.Write((byte)2);
                Text(text);
                break;
            case byte[] data:
                _out.Write((byte)3);
                _out.Write7BitEncodedInt(data.Length);
                _out.Write(data);
                break;
            case var other:
                throw new InvalidOperationException($"A column of type {other.GetType().Name} has no place in a backup.");
        }
    }

    private void Text(string text)
    {
        var bytes = Encoding.UTF8.GetBytes(text);
        _out.Write7BitEncodedInt(bytes.Length);
        _out.Write(bytes);
    }
}
