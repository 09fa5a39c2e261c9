using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>
/// A snapshot by hand: the generated code makes a dozen generic types for it, whose compilation would be a third of the time that
/// <c>lockstep run</c> takes to start.
/// </summary>
internal sealed class SnapshotConverter : JsonConverter<Snapshot>
{
    public override Snapshot Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException("A snapshot is an object.");
        long? release = null, pinned = null;
        var hasCommit = false;
        string? commit = null, service = null, environment = null, label = null;
        StaleInfo? stale = null;
        Dictionary<string, JsonElement>? values = null;
        List<string>? secrets = null, withheld = null;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!seen.Add(name)) throw new JsonException("A snapshot has a property twice.");
            reader.Read();
            switch (name)
            {
                case "release": release = Number(ref reader); break;
                case "pinned": pinned = Number(ref reader); break;
                case "commit": (commit, hasCommit) = (reader.TokenType == JsonTokenType.Null ? null : Text(ref reader), true); break;
                case "service": service = Text(ref reader); break;
                case "environment": environment = Text(ref reader); break;
                case "label": label = Text(ref reader); break;
                case "stale": stale = Stale(ref reader); break;
                case "values": values = Values(ref reader); break;
                case "secrets": secrets = Names(ref reader); break;
                case "withheld": withheld = Names(ref reader); break;
                default:
                    if (options.UnmappedMemberHandling == JsonUnmappedMemberHandling.Disallow) throw new JsonException($"A snapshot has no property '{name}'.");
                    reader.Skip();
                    break;
            }
        }
        return new Snapshot
        {
            Release = release ?? throw Missing("release"),
            Commit = hasCommit ? commit : throw Missing("commit"),
            Stale = stale,
            Pinned = pinned,
            Service = service ?? throw Missing("service"),
            Environment = environment ?? throw Missing("environment"),
            Label = label ?? throw Missing("label"),
            Values = values ?? throw Missing("values"),
            Secrets = secrets ?? [],
            Withheld = withheld ?? [],
        };
    }

    public override void Write(Utf8JsonWriter writer, Snapshot value, JsonSerializerOptions options)
    {
        writer.WriteStartObject();
        writer.WriteNumber("release", value.Release);
        writer.WriteString("commit", value.Commit);
        writer.WritePropertyName("stale");
        s_stale.Write(writer, value.Stale, options);
        if (value.Pinned is { } pinned) writer.WriteNumber("pinned", pinned);
        writer.WriteString("service", value.Service);
        writer.WriteString("environment", value.Environment);
        writer.WriteString("label", value.Label);
        writer.WriteStartObject("values");
        foreach (var (key, element) in value.Values)
        {
            writer.WritePropertyName(key);
            element.WriteTo(writer);
        }
        writer.WriteEndObject();
        WriteNames(writer, "secrets", value.Secrets);
        WriteNames(writer, "withheld", value.Withheld);
        writer.WriteEndObject();
    }

    internal static StaleInfo? Stale(ref Utf8JsonReader reader) => s_stale.Read(ref reader, typeof(StaleInfo), LockstepJson.Tolerant.Options);

    private static readonly StaleConverter s_stale = new();

    private static void WriteNames(Utf8JsonWriter writer, string name, IReadOnlyList<string> names)
    {
        writer.WriteStartArray(name);
        foreach (var item in names) writer.WriteStringValue(item);
        writer.WriteEndArray();
    }

    internal static Dictionary<string, JsonElement> Values(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartObject) throw new JsonException("'values' is an object.");
        var values = new Dictionary<string, JsonElement>(StringComparer.Ordinal);
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var key = Unicode(ref reader);
            reader.Read();
            // Here, where it can be refused: what is no Unicode would throw in whoever reads the value.
            if (reader.TokenType == JsonTokenType.String) Unicode(ref reader);
            if (!values.TryAdd(key, JsonElement.ParseValue(ref reader))) throw new JsonException("'values' has a key twice.");
        }
        return values;
    }

    internal static List<string> Names(ref Utf8JsonReader reader)
    {
        if (reader.TokenType != JsonTokenType.StartArray) throw new JsonException("A list of keys is expected.");
        var names = new List<string>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray) names.Add(Text(ref reader));
        return names;
    }

    internal static long Number(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetInt64(out var number) ? number : throw new JsonException("A whole number is expected.");

    internal static string Text(ref Utf8JsonReader reader) =>
        reader.TokenType == JsonTokenType.String ? Unicode(ref reader) : throw new JsonException("Text is expected.");

    private static string Unicode(ref Utf8JsonReader reader)
    {
        try
        {
            return reader.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new JsonException("Text is Unicode.", e);
        }
    }

    private static JsonException Missing(string name) => new($"The snapshot has no '{name}'.");
}
