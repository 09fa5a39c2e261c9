namespace Lockstep.Audit;

/// <summary>Reads the first and the last line of a file of entries without reading the rest.</summary>
internal static class AuditFileEnd
{
    private const int Step = 64 * 1024;

    // Far longer than any entry: a line beyond this is not looked at.
    private const int MaxLine = 16 * 1024 * 1024;

    /// <summary>Where the last whole line before <paramref name="end"/> ends; 0: there is none.</summary>
    public static long WholeLines(FileStream file, long end)
    {
        var buffer = new byte[Step];
        while (end > 0)
        {
            var count = (int)Math.Min(end, Step);
            file.Position = end - count;
            file.ReadExactly(buffer, 0, count);
            var at = buffer.AsSpan(0, count).LastIndexOf((byte)'\n');
            if (at >= 0) return end - count + at + 1;
            end -= count;
        }
        return 0;
    }

    /// <summary>The entry of the line that ends at <paramref name="end"/>; null when it is none of this node's.</summary>
    public static AuditTail? Last(FileStream file, long end, string node)
    {
        if (end == 0) return null;
        var start = WholeLines(file, end - 1);
        return end - start > MaxLine ? null : Parse(file, start, (int)(end - start), node);
    }

    /// <summary>The entry of the first line; null when it is none of this node's.</summary>
    public static AuditTail? First(FileStream file, string node)
    {
        var line = new MemoryStream();
        var buffer = new byte[Step];
        file.Position = 0;
        for (int read; line.Length < MaxLine && (read = file.Read(buffer)) > 0;)
        {
            var end = buffer.AsSpan(0, read).IndexOf((byte)'\n');
            line.Write(buffer, 0, end < 0 ? read : end);
            if (end >= 0) return Of(line.GetBuffer().AsMemory(0, (int)line.Length), node);
        }
        return null;
    }

    private static AuditTail? Parse(FileStream file, long start, int length, string node)
    {
        var line = new byte[length];
        file.Position = start;
        file.ReadExactly(line);
        return Of(line, node);
    }

    private static AuditTail? Of(ReadOnlyMemory<byte> line, string node) => AuditLine.TryParse(line, out var name, out var at) && name == node ? at : null;
}
