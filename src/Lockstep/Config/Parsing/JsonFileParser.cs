using System.Collections.Immutable;
using System.Text;
using System.Text.Json;

namespace Lockstep.Config.Parsing;

/// <summary>JSON (RFC 8259, no comments), flattened like YAML. A property twice in one object is an error. Numbers keep their text.</summary>
internal static class JsonFileParser
{
    private static readonly ScalarValue s_empty = new(ScalarKind.String, "");

    public static ImmutableArray<ParsedDocument> Parse(ReadOnlySpan<byte> content)
    {
        var cursor = new Cursor(content);
        try
        {
            var entries = new FlatEntries();
            cursor.Read();
            if (cursor.Reader.TokenType == JsonTokenType.Null) return [];
            if (cursor.Reader.TokenType == JsonTokenType.StartObject) Object(ref cursor, "", entries);
            else Value(ref cursor, "document", entries);
            cursor.Read();
            return [YamlParser.Document(entries.Take())];
        }
        catch (JsonException e)
        {
            throw new ConfigSyntaxException((int)(e.LineNumber ?? 0) + 1, $"the JSON is not valid: {FirstSentence(e.Message)}");
        }
        catch (InvalidOperationException)
        {
            // The reader's answer to a \u escape that is half of a surrogate pair.
            throw new ConfigSyntaxException(cursor.Line, "the text holds half of a surrogate pair, which is no character");
        }
    }

    private static void Value(ref Cursor cursor, string path, FlatEntries entries)
    {
        var (line, column) = (cursor.Line, cursor.Column);
        switch (cursor.Reader.TokenType)
        {
            case JsonTokenType.StartObject:
                if (!Object(ref cursor, path, entries)) entries.Add(path, s_empty, line, column);
                break;
            case JsonTokenType.StartArray:
                var index = 0;
                while (cursor.Read() && cursor.Reader.TokenType != JsonTokenType.EndArray) Value(ref cursor, $"{path}[{index++}]", entries);
                if (index == 0) entries.Add(path, s_empty, line, column);
                break;
            case JsonTokenType.String:
                entries.Add(path, new(ScalarKind.String, cursor.Reader.GetString()!), line, column);
                break;
            case JsonTokenType.Number:
                entries.Add(path, new(ScalarKind.Number, Encoding.UTF8.GetString(cursor.Reader.ValueSpan)), line, column);
                break;
            case JsonTokenType.True or JsonTokenType.False:
                entries.Add(path, new(ScalarKind.Boolean, cursor.Reader.TokenType == JsonTokenType.True ? "true" : "false"), line, column);
                break;
            default:
                entries.Add(path, s_empty, line, column);
                break;
        }
    }

    private static bool Object(ref Cursor cursor, string path, FlatEntries entries)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (cursor.Read() && cursor.Reader.TokenType != JsonTokenType.EndObject)
        {
            var name = cursor.Reader.GetString()!;
            if (!seen.Add(name)) throw new ConfigSyntaxException(cursor.Line, $"the key '{name}' stands twice in one object");
            cursor.Read();
            Value(ref cursor, YamlFlattener.Join(path, name), entries);
        }
        return seen.Count > 0;
    }

    // The rest of the message repeats line and byte position.
    private static string FirstSentence(string message)
    {
        var end = message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return end < 0 ? message : message[..end];
    }

    /// <summary>The reader and the line of its token.</summary>
    private ref struct Cursor(ReadOnlySpan<byte> content)
    {
        private readonly ReadOnlySpan<byte> _content = content;
        private int _counted;
        private int _lineBegin;

        public Utf8JsonReader Reader = new(content, new JsonReaderOptions { MaxDepth = ConfigLimits.Depth });

        public int Line { get; private set; } = 1;

        /// <summary>In bytes.</summary>
        public int Column { get; private set; } = 1;

        public bool Read()
        {
            if (!Reader.Read()) return false;
            var start = (int)Reader.TokenStartIndex;
            var passed = _content[_counted..start];
            Line += passed.Count((byte)'\n');
            if (passed.LastIndexOf((byte)'\n') is >= 0 and var end) _lineBegin = _counted + end + 1;
            Column = start - _lineBegin + 1;
            _counted = start;
            return true;
        }
    }
}
