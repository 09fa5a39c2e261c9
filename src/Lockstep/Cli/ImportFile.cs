using System.Globalization;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Cli;

/// <summary>
/// Reads secrets out of a dotenv, JSON or YAML file: names and texts, in their order. Errors say the line and never what stands there,
/// as it may be a secret.
/// </summary>
internal static class ImportFile
{
    public const int MaxBytes = 8 * 1024 * 1024;

    private const int MaxEntries = 10_000;
    private const int MaxDepth = 32;

    public static List<KeyValuePair<string, string>> Parse(string text, string format, string file)
    {
        var entries = new List<KeyValuePair<string, string>>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        text = text.TrimStart('\uFEFF');
        foreach (var (name, value, line) in format switch { "json" => Json(text, file), "yaml" => Yaml(text, file), _ => Dotenv(text, file) })
        {
            if (!names.Add(name)) throw Wrong(file, line, $"'{Output.Printable(name)}' is there twice");
            if (entries.Count == MaxEntries) throw new LockstepException(ErrorCode.TooLarge, $"{file} has more than {MaxEntries} entries: import it in parts");
            entries.Add(new(name, value));
        }
        return entries.Count > 0 ? entries : throw new LockstepException(ErrorCode.BadRequest, $"{file} has no entries");
    }

    private static IEnumerable<(string, string, long)> Json(string text, string file)
    {
        JsonDocument json;
        try
        {
            json = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException e)
        {
            throw Wrong(file, e.LineNumber + 1, "it is not JSON, or has a name twice");
        }
        using (json)
        {
            if (json.RootElement.ValueKind != JsonValueKind.Object) throw Wrong(file, 1, "an object is expected");
            foreach (var property in json.RootElement.EnumerateObject())
            {
                var value = property.Value;
                if (value.ValueKind is JsonValueKind.Array or JsonValueKind.Null)
                    throw Wrong(file, null, $"'{Output.Printable(property.Name)}' is {(value.ValueKind == JsonValueKind.Null ? "null" : "a list")}: write text, a number or an object");
                yield return (property.Name, value.ValueKind switch
                {
                    JsonValueKind.String => value.GetString()!,
                    JsonValueKind.Object => Output.ToJson(value, CliJson.Default.JsonElement),
                    _ => value.GetRawText(),
                }, 0);
            }
        }
    }

    private static List<(string, string, long)> Yaml(string text, string file)
    {
        var entries = new List<(string, string, long)>();
        try
        {
            var parser = new Parser(new StringReader(text));
            parser.Consume<StreamStart>();
            if (parser.Accept<StreamEnd>(out _)) return entries;
            parser.Consume<DocumentStart>();
            if (!parser.TryConsume<MappingStart>(out _)) throw Wrong(file, 1, "a mapping is expected");
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                var key = Key(parser, file);
                var line = key.Start.Line;
                entries.Add((key.Value, YamlValue(parser, file), line));
            }
            parser.Consume<DocumentEnd>();
            if (!parser.Accept<StreamEnd>(out _)) throw Wrong(file, parser.Current?.Start.Line, "one document is expected");
            return entries;
        }
        catch (Exception e) when (e is YamlException or InvalidOperationException or ArgumentException)
        {
            // The scanner gives up with exceptions of other kinds too on some broken text.
            throw Wrong(file, (e as YamlException)?.Start.Line, "it is not YAML");
        }
    }

    private static string YamlValue(Parser parser, string file)
    {
        if (parser.Accept<Scalar>(out var scalar))
        {
            if (IsNull(scalar)) throw Wrong(file, scalar.Start.Line, "a value is missing");
            parser.MoveNext();
            return scalar.Value;
        }
        if (!parser.Accept<MappingStart>(out _)) throw Wrong(file, parser.Current?.Start.Line, "text, a number or a mapping is expected");
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream, new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            WriteYaml(parser, writer, file, 0);
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>One YAML node as JSON. Aliases are refused: they could make a small file large.</summary>
    private static void WriteYaml(Parser parser, Utf8JsonWriter json, string file, int depth)
    {
        if (depth == MaxDepth) throw Wrong(file, parser.Current?.Start.Line, "it is nested too deeply");
        if (parser.TryConsume<MappingStart>(out _))
        {
            json.WriteStartObject();
            var names = new HashSet<string>(StringComparer.Ordinal);
            while (!parser.TryConsume<MappingEnd>(out _))
            {
                var key = Key(parser, file);
                if (!names.Add(key.Value)) throw Wrong(file, key.Start.Line, $"'{Output.Printable(key.Value)}' is there twice");
                json.WritePropertyName(key.Value);
                WriteYaml(parser, json, file, depth + 1);
            }
            json.WriteEndObject();
        }
        else if (parser.TryConsume<SequenceStart>(out _))
        {
            json.WriteStartArray();
            while (!parser.TryConsume<SequenceEnd>(out _)) WriteYaml(parser, json, file, depth + 1);
            json.WriteEndArray();
        }
        else if (parser.TryConsume<Scalar>(out var scalar)) WriteScalar(scalar, json);
        else throw Wrong(file, parser.Current?.Start.Line, "aliases are not supported here");
    }

    private static void WriteScalar(Scalar scalar, Utf8JsonWriter json)
    {
        if (scalar.Style != ScalarStyle.Plain) json.WriteStringValue(scalar.Value);
        else if (IsNull(scalar)) json.WriteNullValue();
        else if (scalar.Value is "true" or "false") json.WriteBooleanValue(scalar.Value is "true");
        // Only what JSON writes the same way is a number: 0123 and 1e400 stay the text they are.
        else if (long.TryParse(scalar.Value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var n) && n.ToString(CultureInfo.InvariantCulture) == scalar.Value)
            json.WriteNumberValue(n);
        else json.WriteStringValue(scalar.Value);
    }

    private static Scalar Key(Parser parser, string file) =>
        parser.TryConsume<Scalar>(out var key) ? key : throw Wrong(file, parser.Current?.Start.Line, "a name is expected");

    private static bool IsNull(Scalar scalar) => scalar.Style == ScalarStyle.Plain && scalar.Value is "" or "~" or "null";

    private static List<(string, string, long)> Dotenv(string text, string file)
    {
        var entries = new List<(string, string, long)>();
        var line = 1;
        for (var at = 0; at < text.Length;)
        {
            var end = text.IndexOf('\n', at) is var found and >= 0 ? found : text.Length;
            var current = text.AsSpan(at, end - at).Trim();
            var (next, first) = (end + 1, line++);
            if (current.Length > 0 && current[0] != '#')
            {
                if (current.StartsWith("export ")) current = current[7..].TrimStart();
                var equals = current.IndexOf('=');
                if (equals < 1) throw Wrong(file, first, "NAME=value is expected");
                var name = current[..equals].Trim().ToString();
                var value = current[(equals + 1)..].Trim();
                if (value.Length > 0 && value[0] is '"' or '\'')
                {
                    // A quoted value may run over several lines: read it from all that follows.
                    var start = text.IndexOf('=', at) + 1;
                    var (unquoted, used) = Unquote(text.AsSpan(start), file, first);
                    line = first + text.AsSpan(at, start + used - at).Count('\n') + 1;
                    end = text.IndexOf('\n', start + used) is var later and >= 0 ? later : text.Length;
                    if (text.AsSpan(start + used, end - start - used).Trim() is { Length: > 0 } left && left[0] != '#')
                        throw Wrong(file, line - 1, "there is text after the closing quote");
                    next = end + 1;
                    entries.Add((name, unquoted, first));
                }
                else
                {
                    var comment = value.IndexOf(" #");
                    entries.Add((name, (comment < 0 ? value : value[..comment].TrimEnd()).ToString(), first));
                }
            }
            at = next;
        }
        return entries;
    }

    /// <summary>Reads a quoted text at the start; in double quotes \n \r \t \" \\ \$ are escapes. Also tells how many characters it took.</summary>
    private static (string Value, int Used) Unquote(ReadOnlySpan<char> text, string file, int line)
    {
        var i = text.Length - text.TrimStart().Length;
        var quote = text[i++];
        var value = new StringBuilder();
        for (; i < text.Length; i++)
        {
            var c = text[i];
            if (c == quote) return (value.ToString(), i + 1);
            if (c == '\\' && quote == '"' && i + 1 < text.Length)
            {
                c = text[++i] switch { 'n' => '\n', 'r' => '\r', 't' => '\t', var other => other };
                if (c is not ('\n' or '\r' or '\t' or '"' or '\\' or '$')) value.Append('\\');
            }
            value.Append(c);
        }
        throw Wrong(file, line, "the closing quote is missing");
    }

    private static LockstepException Wrong(string file, long? line, string what) =>
        new(ErrorCode.BadRequest, line is null or 0 ? $"{file}: {what}" : string.Create(CultureInfo.InvariantCulture, $"{file}:{line}: {what}"));
}
