using System.Buffers;
using System.Collections.Immutable;
using System.Text.Json;
using Lockstep.Config;
using Lockstep.Releases;

namespace Lockstep.Gate;

/// <summary>What a reader who holds one rendering of a document must be told to hold another.</summary>
/// <param name="Json">UTF-8 JSON, one object of <c>etag</c>, <c>set</c>, <c>unset</c> and, where they differ, <c>secrets</c> and <c>withheld</c>.</param>
/// <param name="Keys">The keys in <c>set</c>.</param>
internal sealed record DocumentDelta(ReadOnlyMemory<byte> Json, ImmutableHashSet<string> Keys)
{
    /// <summary><see cref="Json"/> without the opening brace, which belongs to the head.</summary>
    public ReadOnlyMemory<byte> Body => Json[1..];

    public static DocumentDelta Between(RenderedDocument from, RenderedDocument to)
    {
        var (old, next) = (Parts.Of(from.Json.Span), Parts.Of(to.Json.Span));
        var keys = ImmutableHashSet.CreateBuilder<string>(StringComparer.Ordinal);
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, DocumentRenderer.WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("etag", to.ETag);
            json.WriteStartObject("set");
            foreach (var (key, value) in next.Values)
            {
                if (old.Values.TryGetValue(key, out var before) && from.Json.Span[before].SequenceEqual(to.Json.Span[value])) continue;
                keys.Add(key);
                json.WritePropertyName(key);
                json.WriteRawValue(to.Json.Span[value], skipInputValidation: true);
            }
            json.WriteEndObject();
            json.WriteStartArray("unset");
            foreach (var key in old.Values.Keys)
                if (!next.Values.ContainsKey(key)) json.WriteStringValue(key);
            json.WriteEndArray();
            WriteIfOther(json, "secrets", from.Json.Span[old.Secrets], to.Json.Span[next.Secrets]);
            WriteIfOther(json, "withheld", from.Json.Span[old.Withheld], to.Json.Span[next.Withheld]);
            json.WriteEndObject();
        }
        return new DocumentDelta(buffer.WrittenMemory, keys.ToImmutable());
    }

    /// <summary>The secret versions that the values in <c>set</c> are built of, as <c>id@version</c>, sorted.</summary>
    public ImmutableArray<string> Discloses(Resolution resolution)
    {
        var disclosed = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (key, value, _) in resolution.Values)
            if (Keys.Contains(key)) disclosed.UnionWith(DocumentRenderer.DisclosedBy(value, resolution));
        return [.. disclosed];
    }

    private static void WriteIfOther(Utf8JsonWriter json, string name, ReadOnlySpan<byte> old, ReadOnlySpan<byte> next)
    {
        if (old.SequenceEqual(next)) return;
        json.WritePropertyName(name);
        json.WriteRawValue(next, skipInputValidation: true);
    }

    // Where the values and the two lists stand in what DocumentRenderer wrote.
    private readonly record struct Parts(Dictionary<string, Range> Values, Range Secrets, Range Withheld)
    {
        public static Parts Of(ReadOnlySpan<byte> document)
        {
            var (values, secrets, withheld) = (new Dictionary<string, Range>(StringComparer.Ordinal), default(Range), default(Range));
            var json = new Utf8JsonReader(document);
            json.Read();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
            {
                if (json.ValueTextEquals("values")) ReadValues(ref json, values);
                else if (json.ValueTextEquals("secrets")) secrets = Skip(ref json);
                else if (json.ValueTextEquals("withheld")) withheld = Skip(ref json);
                else json.Skip();
            }
            return new Parts(values, secrets, withheld);
        }

        private static void ReadValues(ref Utf8JsonReader json, Dictionary<string, Range> values)
        {
            json.Read();
            while (json.Read() && json.TokenType == JsonTokenType.PropertyName) values.Add(json.GetString()!, Skip(ref json));
        }

        private static Range Skip(ref Utf8JsonReader json)
        {
            json.Read();
            var start = (int)json.TokenStartIndex;
            json.Skip();
            return start..(int)json.BytesConsumed;
        }
    }
}
