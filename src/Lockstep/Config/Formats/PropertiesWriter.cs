using System.Globalization;
using System.Text;

namespace Lockstep.Config.Formats;

/// <summary><c>.properties</c> in ASCII with the escapes of java.util.Properties, so that any charset reads it back.</summary>
internal static class PropertiesWriter
{
    public static string Write(IEnumerable<(string Key, ScalarValue Value)> values)
    {
        var text = new StringBuilder();
        foreach (var (key, value) in values)
        {
            Escape(text, key, isKey: true);
            text.Append('=');
            Escape(text, value.Text, isKey: false);
            text.Append('\n');
        }
        return text.ToString();
    }

    private static void Escape(StringBuilder text, string part, bool isKey)
    {
        for (var i = 0; i < part.Length; i++)
        {
            var c = part[i];
            _ = c switch
            {
                '\\' => text.Append("\\\\"),
                '\t' => text.Append("\\t"),
                '\n' => text.Append("\\n"),
                '\r' => text.Append("\\r"),
                '\f' => text.Append("\\f"),
                ' ' when isKey || i == 0 => text.Append("\\ "),
                '=' or ':' or '#' or '!' when isKey => text.Append('\\').Append(c),
                < ' ' or > '~' => text.Append("\\u").Append(((int)c).ToString("X4", CultureInfo.InvariantCulture)),
                _ => text.Append(c),
            };
        }
    }
}
