using System.Collections.Immutable;
using System.Text;

namespace Lockstep.Config.Parsing;

/// <summary>
/// <c>.properties</c> as java.util.Properties writes them and Spring Boot reads them: a line <c>#---</c> or <c>!---</c> separates documents unless a
/// comment stands directly around it, <c>key[]=a,b</c> is a list, a key twice keeps the later value. Values are always strings.
/// </summary>
internal static class PropertiesParser
{
    public static ImmutableArray<ParsedDocument> Parse(string text)
    {
        var reader = new PropertiesReader(text);
        var entries = new FlatEntries();
        var documents = new List<ImmutableArray<PropertyEntry>>();
        var previousComment = '\0';
        while (reader.Read())
        {
            if (!reader.AtComment)
            {
                previousComment = '\0';
                Entry(reader, entries);
                continue;
            }
            var prefix = (char)reader.Character;
            if (reader.SkipComment() && prefix != previousComment)
            {
                if (!entries.IsEmpty) documents.Add(entries.Take());
                continue;
            }
            previousComment = prefix;
            // A comment right after a separator takes the separator back.
            if (entries.IsEmpty && documents.Count > 0)
            {
                foreach (var entry in documents[^1]) entries.Add(entry.Key, entry.Value, entry.Line, entry.Column);
                documents.RemoveAt(documents.Count - 1);
            }
        }
        if (!entries.IsEmpty) documents.Add(entries.Take());
        return [.. documents.Select(YamlParser.Document)];
    }

    private static void Entry(PropertiesReader reader, FlatEntries entries)
    {
        var key = Key(reader).Trim(' ', '\t', '\f', '\r', '\n');
        if (!key.EndsWith("[]", StringComparison.Ordinal))
        {
            while (reader.AtSpace) reader.Read();
            Add(key, (reader.Line, reader.Column), Value(reader, list: false));
            return;
        }
        var index = 0;
        do
        {
            while (reader.AtSpace) reader.Read();
            Add($"{key[..^2]}[{index++}]", (reader.Line, reader.Column), Value(reader, list: true));
            if (!reader.AtEndOfLine) reader.Read();
        }
        while (!reader.AtEndOfLine);

        void Add(string name, (int Line, int Column) at, string value)
        {
            if (name.Length > 0) entries.Add(name, new(ScalarKind.String, value), at.Line, at.Column);
        }
    }

    private static string Key(PropertiesReader reader)
    {
        var key = new StringBuilder();
        var afterSpace = false;
        while (!reader.AtEndOfLine)
        {
            if (reader.AtDelimiter)
            {
                reader.Read();
                break;
            }
            if (afterSpace && !reader.AtSpace) break;
            afterSpace = reader.AtSpace;
            key.Append((char)reader.Character);
            reader.Read();
        }
        return key.ToString();
    }

    private static string Value(PropertiesReader reader, bool list)
    {
        var value = new StringBuilder();
        while (!reader.AtEndOfLine && !(list && reader.AtComma))
        {
            value.Append((char)reader.Character);
            reader.Read();
        }
        return value.ToString();
    }
}
