using System.Buffers;
using System.Buffers.Text;
using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Lockstep.Config;
using Lockstep.Releases;
using Lockstep.Secrets;

namespace Lockstep.Gate;

/// <summary>
/// Turns a resolution into the bytes readers get. The ETag is an HMAC of those bytes under a key kept in the database: equal on every node, and no oracle
/// for guessing secrets.
/// </summary>
internal sealed class DocumentRenderer(byte[] etagKey)
{
    private const int MaxKeptBuffer = 1024 * 1024;

    /// <summary>How documents are written; what is compared with them byte for byte is written the same way.</summary>
    public static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    // Thousands of documents are rendered one after the other. What was in it is wiped, for it may be secret.
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? s_buffer;

    /// <summary>See <see cref="RenderDocument"/>. Keys that derive from a withheld secret are left out and listed.</summary>
    public RenderedDocument Render(Resolution resolution, FrozenSet<SecretId> withheld)
    {
        var buffer = s_buffer ??= new ArrayBufferWriter<byte>(16 * 1024);
        try
        {
            var disclosed = Write(buffer, resolution, withheld);
            return new RenderedDocument(buffer.WrittenSpan.ToArray(), ETagOf(buffer.WrittenSpan), [.. disclosed]);
        }
        finally
        {
            buffer.Clear();
            if (buffer.Capacity > MaxKeptBuffer) s_buffer = null;
        }
    }

    private static SortedSet<string> Write(ArrayBufferWriter<byte> buffer, Resolution resolution, FrozenSet<SecretId> withheld)
    {
        var secretKeys = new List<string>();
        var withheldKeys = new List<string>();
        var disclosed = new SortedSet<string>(StringComparer.Ordinal);
        using (var json = new Utf8JsonWriter(buffer, WriterOptions))
        {
            json.WriteStartObject();
            json.WriteString("service", resolution.Key.Service);
            json.WriteString("environment", resolution.Key.Environment);
            json.WriteString("label", resolution.LabelName);
            json.WriteStartObject("values");
            foreach (var (key, value, _) in resolution.Values)
            {
                if (value is ConfigValue.Scalar plain)
                {
                    json.WritePropertyName(key);
                    plain.Value.WriteTo(json);
                    continue;
                }
                if (withheld.Count > 0 && value.References.Any(r => withheld.Contains(r.Id)))
                {
                    withheldKeys.Add(key);
                    continue;
                }
                if (value.References.Any()) secretKeys.Add(key);
                disclosed.UnionWith(DisclosedBy(value, resolution));
                json.WritePropertyName(key);
                Reveal(value, resolution.Secrets).WriteTo(json);
            }
            json.WriteEndObject();
            WriteList(json, "secrets", secretKeys);
            WriteList(json, "withheld", withheldKeys);
            json.WriteEndObject();
        }
        return disclosed;
    }

    /// <summary>The secret versions that a value is built of, as <c>id@version</c>.</summary>
    public static IEnumerable<string> DisclosedBy(ConfigValue value, Resolution resolution) =>
        value.References.Select(r => $"{r.Id}@{resolution.Secrets[r].Version}");

    private string ETagOf(ReadOnlySpan<byte> json)
    {
        Span<byte> mac = stackalloc byte[32];
        HMACSHA256.HashData(etagKey, json, mac);
        return $"W/\"{Base64Url.EncodeToString(mac[..18])}\"";
    }

    /// <summary>A value with its secrets filled in.</summary>
    public static ScalarValue Reveal(ConfigValue value, IReadOnlyDictionary<SecretRef, BoundSecret> secrets)
    {
        switch (value)
        {
            case ConfigValue.Scalar scalar:
                return scalar.Value;
            case ConfigValue.Secret { Ref: var reference }:
                var secret = secrets[reference];
                return new ScalarValue(secret.KindOf(reference.Field), secret.Value.Reveal(reference.Field));
            case ConfigValue.Text text:
                return new ScalarValue(ScalarKind.String, string.Concat(text.Parts.Select(p => p.Literal ?? secrets[p.Ref!].Value.Reveal(p.Ref!.Field))));
            default:
                throw new InvalidOperationException("Unknown value.");
        }
    }

    private static void WriteList(Utf8JsonWriter json, string name, List<string> items)
    {
        json.WriteStartArray(name);
        foreach (var item in items) json.WriteStringValue(item);
        json.WriteEndArray();
    }
}
