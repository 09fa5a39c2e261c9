using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;

namespace Lockstep.Audit;

/// <summary>
/// An entry as a line of a file or an export: <c>{"node","seq","mac"</c>, then the fields of its text as stored, so that who has the key can check the line by itself.
/// </summary>
internal static class AuditLine
{
    private static readonly JsonWriterOptions s_writer = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    /// <summary>Writes an entry whose text is known to be as it was made.</summary>
    public static void Write(ArrayBufferWriter<byte> to, string node, AuditTail at, string entry)
    {
        WriteHead(to, node, at);
        to.Write(","u8);
        Encoding.UTF8.GetBytes(entry.AsSpan(1), to);
        to.Write("\n"u8);
    }

    /// <summary>Writes what stands for an entry that was changed, so that its reader sees that something stood there; nothing of its text is taken over.</summary>
    public static void WriteDamaged(ArrayBufferWriter<byte> to, string node, AuditTail at, DateTimeOffset time)
    {
        WriteHead(to, node, at);
        var entry = AuditJson.Serialize(AuditEntry.Damaged(time));
        entry[0] = (byte)',';
        to.Write(entry);
        to.Write("\n"u8);
    }

    /// <summary>Writes an entry that was not held against the chain.</summary>
    public static void WriteUnchecked(ArrayBufferWriter<byte> to, AuditRow row)
    {
        var at = new AuditTail(row.Seq, row.Mac);
        if (row.Entry.StartsWith("{\"at\":", StringComparison.Ordinal) && !row.Entry.Any(char.IsControl) && AuditJson.Parse(row.Entry) is not null) Write(to, row.Node, at, row.Entry);
        else WriteDamaged(to, row.Node, at, DateTimeOffset.FromUnixTimeMilliseconds(row.At));
    }

    /// <summary>Which entry a line is about.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> line, [NotNullWhen(true)] out string? node, [NotNullWhen(true)] out AuditTail? at)
    {
        (node, at) = (null, null);
        try
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement is not { ValueKind: JsonValueKind.Object } entry
                || !entry.TryGetProperty("node", out var name) || name.ValueKind != JsonValueKind.String
                || !entry.TryGetProperty("seq", out var number) || number.ValueKind != JsonValueKind.Number || !number.TryGetInt64(out var seq)
                || !entry.TryGetProperty("mac", out var mac) || mac.ValueKind != JsonValueKind.String || !mac.TryGetBytesFromBase64(out var bytes))
                return false;
            (node, at) = (name.GetString()!, new AuditTail(seq, bytes));
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static void WriteHead(ArrayBufferWriter<byte> to, string node, AuditTail at)
    {
        using var json = new Utf8JsonWriter(to, s_writer);
        json.WriteStartObject();
        json.WriteString("node", node);
        json.WriteNumber("seq", at.Seq);
        json.WriteString("mac", Convert.ToBase64String(at.Mac));
        // Left open: the fields of the entry follow.
        json.Flush();
    }
}

/// <summary>A row of the record.</summary>
internal sealed record AuditRow(string Node, long Seq, long At, string Action, string? Token, string? Parent, string Entry, byte[] Mac)
{
    /// <summary>The columns that <see cref="Read"/> expects.</summary>
    public const string Columns = "node, seq, at, action, token, parent, entry, mac";

    public static AuditRow Read(System.Data.Common.DbDataReader row) => new(
        row.GetString(0), row.GetInt64(1), row.GetInt64(2), row.GetString(3), row.IsDBNull(4) ? null : row.GetString(4), row.IsDBNull(5) ? null : row.GetString(5),
        row.GetString(6), row.GetFieldValue<byte[]>(7));

    /// <summary>Up to <paramref name="limit"/> rows of a node after a number, in their order.</summary>
    public static List<AuditRow> After(Storage.SqlSession session, string node, long seq, int limit) => session.Query(
        $"SELECT {Columns} FROM audit WHERE node = @node AND seq > @seq ORDER BY seq LIMIT @limit", Read, ("node", node), ("seq", seq), ("limit", limit));
}
