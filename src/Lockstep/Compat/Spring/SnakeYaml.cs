using System.Buffers;
using System.Globalization;
using System.Text;
using Lockstep.Config;
using Lockstep.Config.Formats;
using Lockstep.Config.Parsing;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Compat.Spring;

/// <summary>
/// Block-style YAML as SnakeYAML dumps it, which people compare and template: plain scalars where they can be, then single quotes, literal blocks for several lines,
/// double quotes for the rest; lists not indented under their key; past column 80 a value goes on in the next line.
/// </summary>
internal static class SnakeYaml
{
    /// <summary>Longer keys are marked with <c>?</c>.</summary>
    private const int SimpleKey = 128;

    /// <summary>The column past which values are folded.</summary>
    private const int Width = 80;

    private static readonly SearchValues<char> s_firstIndicators = SearchValues.Create("#,[]{}&*!|>'\"%@`");

    public static string Write(FlatNode.Map root)
    {
        var text = new StringBuilder();
        // A document that is no mapping was given this key when it was read.
        if (root.Members is [{ Key: "document", Value: var document }]) Below(text, document, 0, afterKey: false);
        else if (root.Members.Count == 0) text.Append("{}\n");
        else Members(text, root, 0, indentFirst: true);
        return text.ToString();
    }

    private static void Below(StringBuilder text, FlatNode? node, int indent, bool afterKey)
    {
        switch (node)
        {
            case FlatNode.Map map:
                if (afterKey) text.Append('\n');
                Members(text, map, afterKey ? indent + 2 : indent, indentFirst: afterKey || indent == 0);
                break;
            case FlatNode.Sequence sequence:
                if (afterKey) text.Append('\n');
                Items(text, sequence, indent, indentFirst: afterKey || indent == 0);
                break;
            default:
                if (afterKey) text.Append(' ');
                Scalar(text, (node as FlatNode.Leaf)?.Value, indent + (afterKey ? 2 : indent == 0 ? 2 : 0));
                text.Append('\n');
                break;
        }
    }

    private static void Members(StringBuilder text, FlatNode.Map map, int indent, bool indentFirst)
    {
        foreach (var (name, value) in map.Members)
        {
            if (indentFirst) text.Append(' ', indent);
            indentFirst = true;
            var key = Key(name);
            if (key.Length > SimpleKey) text.Append("? ").Append(key).Append('\n').Append(' ', indent).Append(':');
            else text.Append(key).Append(':');
            Below(text, value, indent, afterKey: true);
        }
    }

    private static void Items(StringBuilder text, FlatNode.Sequence sequence, int indent, bool indentFirst)
    {
        foreach (var item in sequence.Items)
        {
            if (indentFirst) text.Append(' ', indent);
            indentFirst = true;
            text.Append("- ");
            Below(text, item, indent + 2, afterKey: false);
        }
    }

    private static string Key(string name)
    {
        if (IsPlain(name)) return name;
        if (MaySingleQuote(name) && !name.Contains('\n')) return $"'{Doubled(name)}'";
        var key = new StringBuilder();
        DoubleQuoted(key, name, 0, int.MaxValue);
        return key.ToString();
    }

    private static void Scalar(StringBuilder text, ScalarValue? value, int indent)
    {
        switch (value)
        {
            case null:
                text.Append("null");
                break;
            case { Kind: ScalarKind.Number, Text: var number }:
                text.Append(YamlWriter.Number(number));
                break;
            case { Kind: ScalarKind.Boolean, Text: var boolean }:
                text.Append(boolean);
                break;
            case { Text: var plain } when IsPlain(plain):
                Folded(text, plain, indent);
                break;
            case { Text: var lines } when lines.Contains('\n') && MayBeLiteral(lines):
                Literal(text, lines, indent);
                break;
            case { Text: var quoted } when MaySingleQuote(quoted) && !quoted.Contains('\n'):
                text.Append('\'');
                Folded(text, Doubled(quoted), indent);
                text.Append('\'');
                break;
            case { Text: var rest }:
                DoubleQuoted(text, rest, indent, Width);
                break;
        }
    }

    private static bool IsPlain(string text)
    {
        if (text.Length == 0 || text[0] == ' ' || text[^1] == ' ' || text.AsSpan().ContainsAny('\n', '\u0085', '\u2028') || text.Any(IsSpecial)) return false;
        if (s_firstIndicators.Contains(text[0]) || text.StartsWith("---", StringComparison.Ordinal) || text.StartsWith("...", StringComparison.Ordinal)) return false;
        if (text[0] is '-' or '?' or ':' && (text.Length == 1 || text[1] == ' ')) return false;
        if (text.EndsWith(':') || text.Contains(": ", StringComparison.Ordinal) || text.Contains(" #", StringComparison.Ordinal)) return false;
        return text is not ("<<" or "=") && !IsDate(text)
            && YamlScalars.Resolve(new Scalar(AnchorName.Empty, TagName.Empty, text, ScalarStyle.Plain, true, false), 1).Type == YamlType.String;
    }

    // 2001-12-14 and what goes on from there.
    private static bool IsDate(string text) =>
        text.Length >= 8 && text[4] == '-' && !text.AsSpan(0, 4).ContainsAnyExceptInRange('0', '9') && char.IsAsciiDigit(text[5]);

    private static bool IsSpecial(char c) => c is not ('\n' or (>= ' ' and <= '~') or '\u0085' or (>= '\u00A0' and <= '\uFFFD')) || c == '\uFEFF';

    private static bool MaySingleQuote(string text) => !text.Any(IsSpecial) && !text.AsSpan().ContainsAny('\u0085', '\u2028', '\u2029');

    // An indentation of its own would have to be declared; quotes say the same.
    private static bool MayBeLiteral(string text) =>
        text[0] is not (' ' or '\n') && text[^1] != ' ' && MaySingleQuote(text) && !text.Contains(" \n", StringComparison.Ordinal);

    private static void Literal(StringBuilder text, string lines, int indent)
    {
        text.Append('|');
        if (!lines.EndsWith('\n')) text.Append('-');
        else if (lines.EndsWith("\n\n", StringComparison.Ordinal)) text.Append('+');
        var content = lines.EndsWith('\n') ? lines[..^1] : lines;
        foreach (var line in content.Split('\n'))
        {
            text.Append('\n');
            if (line.Length > 0) text.Append(' ', indent).Append(line);
        }
    }

    private static string Doubled(string text) => text.Replace("'", "''", StringComparison.Ordinal);

    // A single space between two words turns into a line end, which is read as one space.
    private static void Folded(StringBuilder text, string value, int indent)
    {
        var column = Column(text);
        for (var at = 0; at < value.Length;)
        {
            var end = at;
            while (end < value.Length && (value[end] == ' ') == (value[at] == ' ')) end++;
            if (value[at] == ' ' && end - at == 1 && at > 0 && end < value.Length && column > Width)
            {
                text.Append('\n').Append(' ', indent);
                column = indent;
            }
            else
            {
                text.Append(value, at, end - at);
                column += end - at;
            }
            at = end;
        }
    }

    private static int Column(StringBuilder text)
    {
        var column = 0;
        while (column < text.Length && text[text.Length - 1 - column] != '\n') column++;
        return column;
    }

    // Folded before a space or beside what is no ASCII, with a backslash at the end of the line, and another where a space begins the next.
    private static void DoubleQuoted(StringBuilder text, string value, int indent, int width)
    {
        text.Append('"');
        var (column, start) = (Column(text), 0);
        for (var end = 0; end <= value.Length; end++)
        {
            var c = end < value.Length ? value[end] : '\0';
            if (end == value.Length || c is '"' or '\\' or < ' ' or > '~')
            {
                Write(value[start..end]);
                start = end;
                if (end < value.Length)
                {
                    Write(char.IsHighSurrogate(c) && end + 1 < value.Length ? value.Substring(end++, 2) : Escaped(c));
                    start = end + 1;
                }
            }
            if (end == 0 || end >= value.Length - 1 || (c != ' ' && start < end) || column + end - start <= width) continue;
            if (start < end) Write(value[start..end]);
            start = Math.Max(start, end);
            text.Append("\\\n").Append(' ', indent);
            column = indent;
            if (value[start] == ' ') Write("\\");
        }
        text.Append('"');

        void Write(string piece)
        {
            text.Append(piece);
            column += piece.Length;
        }
    }

    private static string Escaped(char c) => c switch
    {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        _ when IsSpecial(c) || c is '\u0085' or '\u2028' or '\u2029' => "\\u" + ((int)c).ToString("X4", CultureInfo.InvariantCulture),
        _ => c.ToString(),
    };
}
