using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Lockstep.Secrets;

/// <summary>
/// The text of one version of one secret. It prints <c>***</c> everywhere; its text comes only from <see cref="Reveal"/>, which only the
/// gate may call. Text that parses as a JSON object has fields.
/// </summary>
internal sealed class SecretValue
{
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private readonly string _text;
    private readonly Lazy<Dictionary<string, SecretField>?> _fields;

    public SecretValue(string text)
    {
        _text = text;
        _fields = new(() => ParseFields(text));
    }

    /// <summary>The kind of the whole value or of one of its fields, which is no secret; null when there is no such field.</summary>
    public JsonValueKind? KindOf(string? field) =>
        field is null ? JsonValueKind.String
        : _fields.Value is { } fields && fields.TryGetValue(field, out var found) ? found.Kind : null;

    /// <summary>The length of the whole text, or of one field, in characters; 0 when there is no such field.</summary>
    public int LengthOf(string? field) =>
        field is null ? Length : _fields.Value is { } fields && fields.TryGetValue(field, out var found) ? found.Text.Length : 0;

    /// <summary>The length of the whole text in characters, for limits.</summary>
    public int Length => _text.Length;

    /// <summary>The value read from a store.</summary>
    /// <exception cref="DecoderFallbackException">The bytes are no UTF-8. The exception quotes them: it must not be shown or logged.</exception>
    public static SecretValue OfBytes(ReadOnlySpan<byte> utf8) => new(s_utf8.GetString(utf8));

    /// <summary>The length of the whole text in bytes of UTF-8, for limits.</summary>
    /// <exception cref="EncoderFallbackException">The text holds half of a surrogate pair. The exception quotes it: it must not be shown or logged.</exception>
    public int ByteCount => s_utf8.GetByteCount(_text);

    /// <summary>Hands the bytes to the encryption of a store, and clears them afterwards. For the stores alone; whoever shows a value uses <see cref="Reveal"/>.</summary>
    public byte[] Seal(Func<ReadOnlySpan<byte>, byte[]> encrypt)
    {
        var bytes = s_utf8.GetBytes(_text);
        try
        {
            return encrypt(bytes);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(bytes);
        }
    }

    /// <summary>The text of the value, or of one field: a string's content, a number or boolean as written, an object or array as compact JSON.</summary>
    public string Reveal(string? field = null)
    {
        if (field is null) return _text;
        return _fields.Value is { } fields && fields.TryGetValue(field, out var found)
            ? found.Text
            : throw new InvalidOperationException("the field does not exist; ask KindOf first");
    }

    public override string ToString() => "***";

    private static Dictionary<string, SecretField>? ParseFields(string text)
    {
        if (!text.AsSpan().TrimStart().StartsWith("{", StringComparison.Ordinal)) return null;
        try
        {
            using var json = JsonDocument.Parse(text);
            var fields = new Dictionary<string, SecretField>(StringComparer.Ordinal);
            foreach (var property in json.RootElement.EnumerateObject())
                fields[property.Name] = new(property.Value.ValueKind, TextOf(property.Value));
            return fields;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The second: an escape that stands for half a character. Such text is text, without fields.
            return null;
        }
    }

    private static string TextOf(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Null => "",
        JsonValueKind.Object or JsonValueKind.Array => Compact(value),
        _ => value.GetRawText(),
    };

    /// <summary>JSON as compact text.</summary>
    public static string Compact(JsonElement value)
    {
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
            value.WriteTo(writer);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    private readonly record struct SecretField(JsonValueKind Kind, string Text)
    {
        public override string ToString() => "***";
    }
}
