using System.Globalization;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Storage.Backup;

/// <summary>Reads what <see cref="BackupWriter"/> wrote into empty tables, and holds it to the counts at its end.</summary>
internal sealed class BackupReader(Stream stream) : IDisposable
{
    private const int MaxColumns = 256;
    private const int MaxValue = 256 * 1024 * 1024;
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly BinaryReader _in = new(stream, Encoding.UTF8, leaveOpen: true);
    private readonly SortedDictionary<string, long> _rows = new(StringComparer.Ordinal);
    private long _bundle;

    /// <summary>Reads to the end; the number of rows of each table.</summary>
    /// <param name="session">A write on tables of the backup's format.</param>
    /// <param name="format">That format.</param>
    /// <param name="bundle">Takes the repository's bundle; null: it is not wanted.</param>
    /// <param name="cancellationToken">Heard between rows.</param>
    /// <exception cref="LockstepException">invalid-config when it is not what a backup holds.</exception>
    public IReadOnlyDictionary<string, long> LoadInto(SqlSession session, int format, Stream? bundle, CancellationToken cancellationToken)
    {
        var known = SqliteDialect.Schema(format).ToDictionary(t => t.Table, t => t.Columns, StringComparer.Ordinal);
        Rows? into = null;
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                switch (_in.ReadByte())
                {
                    case BackupWriter.Table:
                        into = ReadTable(known);
                        break;
                    case BackupWriter.Row when into is not null && _bundle == 0:
                        into.Insert(session, Value);
                        _rows[into.Table]++;
                        break;
                    case BackupWriter.Bundle:
                        var part = Bytes();
                        bundle?.Write(part);
                        _bundle += part.Length;
                        break;
                    case BackupWriter.End:
                        CheckEnd();
                        return _rows;
                    default:
                        throw Wrong();
                }
            }
        }
        catch (Exception e) when (e is EndOfStreamException or FormatException or DecoderFallbackException)
        {
            throw Wrong();
        }
    }

    public void Dispose() => _in.Dispose();

    private Rows ReadTable(Dictionary<string, IReadOnlyList<string>> known)
    {
        var table = Text();
        var count = _in.Read7BitEncodedInt();
        if (count is < 1 or > MaxColumns || !known.TryGetValue(table, out var there) || !_rows.TryAdd(table, 0)) throw Wrong();
        var columns = new string[count];
        for (var i = 0; i < count; i++) columns[i] = Text();
        // Their names become SQL: none that is not the table's own.
        return columns.All(there.Contains) && columns.Distinct(StringComparer.Ordinal).Count() == count ? new Rows(table, columns) : throw Wrong();
    }

    private void CheckEnd()
    {
        var tables = _in.Read7BitEncodedInt();
        if (tables != _rows.Count) throw Wrong();
        for (var i = 0; i < tables; i++)
        {
            var table = Text();
            var rows = _in.Read7BitEncodedInt64();
            if (!_rows.TryGetValue(table, out var read) || read != rows)
                throw BackupHeader.Damaged(string.Create(CultureInfo.InvariantCulture, $"the table {table} has {read} rows in it, and had {rows}"));
        }
        if (_in.Read7BitEncodedInt64() != _bundle || stream.ReadByte() >= 0) throw Wrong();
    }

    private object? Value() => _in.ReadByte() switch
    {
        0 => null,
        1 => _in.ReadInt64(),
        2 => Text(),
        3 => Bytes(),
        _ => throw Wrong(),
    };

    private string Text() => s_utf8.GetString(Bytes());

    private byte[] Bytes()
    {
        var length = _in.Read7BitEncodedInt();
        if (length is < 0 or > MaxValue) throw Wrong();
        var bytes = _in.ReadBytes(length);
        return bytes.Length == length ? bytes : throw Wrong();
    }

    private static LockstepException Wrong() => BackupHeader.Damaged("what it holds is not what this program wrote");

    private sealed class Rows(string table, string[] columns)
    {
        private readonly string _insert = $"INSERT INTO {table} ({string.Join(", ", columns)}) VALUES ({string.Join(", ", columns.Select(c => "@" + c))})";
        private readonly (string, object?)[] _values = new (string, object?)[columns.Length];

        public string Table => table;

        public void Insert(SqlSession session, Func<object?> next)
        {
            for (var i = 0; i < columns.Length; i++) _values[i] = ("@" + columns[i], next());
            session.Execute(_insert, _values);
        }
    }
}
