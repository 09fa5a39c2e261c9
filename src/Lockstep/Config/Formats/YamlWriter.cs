using System.Buffers;
using System.Globalization;
using System.Text;

namespace Lockstep.Config.Formats;

/// <summary>Block-style YAML that YAML 1.1 and 1.2 readers understand alike: whatever one of them could take for something else is quoted.</summary>
internal static class YamlWriter
{
    /// <summary>YAML allows 1024 characters for a key that is not marked with <c>?</c>, quotes and escapes included.</summary>
    private const int LongKey = 1000;

    private static readonly SearchValues<char> s_plain = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./-");

    private static readonly HashSet<string> s_words = new(StringComparer.OrdinalIgnoreCase) { "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity" };

    public static string Write(NestedNode root)
    {
        if (root.Members is not { Count: > 0 }) return "{}\n";
        var text = new StringBuilder();
        Members(text, root.Members, 0, indentFirst: true);
        return text.ToString();
    }

    private static void Members(StringBuilder text, List<KeyValuePair<string, NestedNode>> members, int indent, bool indentFirst)
    {
        foreach (var (name, value) in members)
        {
            if (indentFirst) text.Append(' ', indent);
            indentFirst = true;
            var key = String(name);
            if (key.Length > LongKey) text.Append("? ").Append(key).Append('\n').Append(' ', indent).Append(':');
            else text.Append(key).Append(':');
            if (value.Members is { } below)
            {
                text.Append('\n');
                Members(text, below, indent + 2, indentFirst: true);
            }
            else if (value.Items is { } items)
            {
                text.Append('\n');
                Items(text, items, indent, indentFirst: true);
            }
            else
            {
                text.Append(' ').Append(Scalar(value.Scalar)).Append('\n');
            }
        }
    }

    private static void Items(StringBuilder text, List<NestedNode> items, int indent, bool indentFirst)
    {
        foreach (var item in items)
        {
            if (indentFirst) text.Append(' ', indent);
            indentFirst = true;
            text.Append("- ");
            if (item.Members is { } members) Members(text, members, indent + 2, indentFirst: false);
            else if (item.Items is { } nested) Items(text, nested, indent + 2, indentFirst: false);
            else text.Append(Scalar(item.Scalar)).Append('\n');
        }
    }

    private static string Scalar(ScalarValue? value) => value switch
    {
        null => "null",
        { Kind: ScalarKind.String, Text: var text } => String(text),
        { Kind: ScalarKind.Number, Text: var text } => Number(text),
        { Text: var text } => text,
    };

    /// <summary>YAML 1.1 wants a point in the mantissa and a sign in the exponent: <c>1e3</c> becomes <c>1.0e+3</c>.</summary>
    public static string Number(string text)
    {
        var e = text.AsSpan().IndexOfAny('e', 'E');
        if (e < 0) return text;
        var mantissa = text[..e];
        var power = text[(e + 1)..];
        if (!mantissa.Contains('.', StringComparison.Ordinal)) mantissa += ".0";
        return $"{mantissa}e{(power[0] is '+' or '-' ? "" : "+")}{power}";
    }

    private static string String(string text)
    {
        var plain = text.Length > 0 && (char.IsAsciiLetter(text[0]) || text[0] is '_' or '/') && !text.AsSpan().ContainsAnyExcept(s_plain) && !s_words.Contains(text);
        if (plain) return text;
        var quoted = new StringBuilder(text.Length + 2).Append('"');
        foreach (var c in text)
        {
            _ = c switch
            {
                '"' => quoted.Append("\\\""),
                '\\' => quoted.Append("\\\\"),
                '\n' => quoted.Append("\\n"),
                '\r' => quoted.Append("\\r"),
                '\t' => quoted.Append("\\t"),
                < ' ' or (>= '\x7f' and <= '\xa0') or '\u2028' or '\u2029' or '\ufeff' or >= '\ufffe' =>
                    quoted.Append("\\u").Append(((int)c).ToString("X4", CultureInfo.InvariantCulture)),
                _ => quoted.Append(c),
            };
        }
        return quoted.Append('"').ToString();
    }
}
