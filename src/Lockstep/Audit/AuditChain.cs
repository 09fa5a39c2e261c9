using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// The HMAC chain of one node's entries: mac = HMAC-SHA256(key, previous mac | node | seq | entry), so that whoever edits, removes or swaps
/// rows without the key is found out. Its state is in the table alone, where a transaction that fails takes it back too.
/// </summary>
internal sealed class AuditChain(byte[] key)
{
    public const int MacBytes = 32;

    private const int Columns = 7;

    // A statement with many rows saves round trips; few sizes keep the number of prepared statements small.
    private static readonly int[] s_rowsPerStatement = [32, 4, 1];
    private static readonly string[] s_inserts = [.. s_rowsPerStatement.Select(Insert)];
    private static readonly string[][] s_parameterNames =
        [.. Enumerable.Range(0, s_rowsPerStatement.Max()).Select(i => new[] { "s", "t", "a", "o", "p", "e", "m" }.Select(n => n + i.ToString(CultureInfo.InvariantCulture)).ToArray())];

    /// <summary>Where a node's kept entries begin: the number and MAC of the last entry before them.</summary>
    public static AuditTail Start => new(0, new byte[MacBytes]);

    /// <summary>The last entry of a node as this transaction sees it.</summary>
    public static AuditTail Tail(SqlSession session, string node) =>
        session.First(
            "SELECT seq, mac FROM audit WHERE node = @node ORDER BY seq DESC LIMIT 1",
            row => new AuditTail(row.GetInt64(0), row.GetFieldValue<byte[]>(1)),
            ("node", node)) ?? Start;

    /// <summary>Appends the entries in their order after the tail that this transaction sees; the tail before, and the one after.</summary>
    public (AuditTail Before, AuditTail After) Append(SqlSession session, string node, IReadOnlyList<AuditEntry> entries)
    {
        var before = Tail(session, node);
        var tail = before;
        var done = 0;
        for (var size = 0; size < s_rowsPerStatement.Length; size++)
        {
            var rows = s_rowsPerStatement[size];
            var parameters = new (string, object?)[1 + (rows * Columns)];
            parameters[0] = ("node", node);
            for (; entries.Count - done >= rows; done += rows)
            {
                for (var i = 0; i < rows; i++) tail = Fill(parameters.AsSpan(1 + (i * Columns), Columns), s_parameterNames[i], node, entries[done + i], tail);
                session.Execute(s_inserts[size], parameters);
            }
        }
        return (before, tail);
    }

    /// <summary>The MAC of an entry. The parts have fixed lengths or carry theirs, so no two entries have one text.</summary>
    public byte[] Mac(ReadOnlySpan<byte> previous, string node, long seq, ReadOnlySpan<byte> entry)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        Span<byte> number = stackalloc byte[8];
        hmac.AppendData(previous);
        var name = Encoding.UTF8.GetBytes(node);
        BinaryPrimitives.WriteInt64BigEndian(number, name.Length);
        hmac.AppendData(number);
        hmac.AppendData(name);
        BinaryPrimitives.WriteInt64BigEndian(number, seq);
        hmac.AppendData(number);
        hmac.AppendData(entry);
        return hmac.GetHashAndReset();
    }

    private AuditTail Fill(Span<(string, object?)> parameters, string[] names, string node, AuditEntry entry, AuditTail tail)
    {
        var seq = tail.Seq + 1;
        var text = AuditJson.Serialize(entry);
        var mac = Mac(tail.Mac, node, seq, text);
        parameters[0] = (names[0], seq);
        parameters[1] = (names[1], entry.At.ToUnixTimeMilliseconds());
        parameters[2] = (names[2], entry.Action);
        parameters[3] = (names[3], entry.TokenId);
        parameters[4] = (names[4], entry.Parent);
        parameters[5] = (names[5], Encoding.UTF8.GetString(text));
        parameters[6] = (names[6], mac);
        return new AuditTail(seq, mac);
    }

    private static string Insert(int rows) =>
        "INSERT INTO audit (node, seq, at, action, token, parent, entry, mac) VALUES "
        + string.Join(", ", Enumerable.Range(0, rows).Select(i => $"(@node, @s{i}, @t{i}, @a{i}, @o{i}, @p{i}, @e{i}, @m{i})"));
}

/// <summary>The last entry of a chain.</summary>
internal sealed record AuditTail(long Seq, byte[] Mac);
