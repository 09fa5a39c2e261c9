using System.Text;

namespace Lockstep.Config;

/// <summary>The text of a file that is served as text, in whichever charset its reader says: UTF-8, UTF-16, ISO-8859-1 or US-ASCII.</summary>
internal static class FileText
{
    private const int Utf16CodePage = 1200;

    private static readonly Encoding[] s_bytes = [Encoding.UTF8, Encoding.Latin1];
    private static readonly Encoding[] s_units = [Encoding.BigEndianUnicode, Encoding.Unicode];

    /// <param name="content">The file's bytes.</param>
    /// <param name="charset">The name of a charset; one that is not known counts as UTF-8. UTF-16 goes by the mark at the start, and is big endian without one.</param>
    public static string Decode(ReadOnlySpan<byte> content, string charset)
    {
        Encoding encoding;
        try
        {
            encoding = Encoding.GetEncoding(charset);
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            return Encoding.UTF8.GetString(content);
        }
        if (encoding.CodePage == Utf16CodePage && !charset.EndsWith("le", StringComparison.OrdinalIgnoreCase))
            return content switch
            {
                [0xFE, 0xFF, ..] => Encoding.BigEndianUnicode.GetString(content[2..]),
                [0xFF, 0xFE, ..] => Encoding.Unicode.GetString(content[2..]),
                _ => Encoding.BigEndianUnicode.GetString(content),
            };
        return (s_bytes.Concat(s_units).Append(Encoding.ASCII).FirstOrDefault(e => e.CodePage == encoding.CodePage) ?? Encoding.UTF8).GetString(content);
    }

    /// <summary>The readings of a file in which there may be a placeholder: for what is to be found in whatever charset it is asked for.</summary>
    public static IEnumerable<string> Readings(ReadOnlyMemory<byte> content)
    {
        if (content.Span.IndexOf("${"u8) >= 0)
            foreach (var encoding in s_bytes) yield return encoding.GetString(content.Span);
        if (content.Span.IndexOf("$\0{"u8) >= 0)
            foreach (var encoding in s_units) yield return encoding.GetString(content.Span);
    }
}
