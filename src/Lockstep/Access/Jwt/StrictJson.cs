using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Unicode;

namespace Lockstep.Access.Jwt;

/// <summary>JSON that everybody who reads it reads alike: an object, UTF-8, no member twice, no text that is not Unicode, bounded in depth.</summary>
internal static class StrictJson
{
    private static readonly JsonDocumentOptions s_options = new() { AllowDuplicateProperties = false, MaxDepth = 16 };

    /// <summary>The caller disposes of the document.</summary>
    public static bool TryParse(ReadOnlyMemory<byte> utf8, [NotNullWhen(true)] out JsonDocument? document)
    {
        document = null;
        if (!Utf8.IsValid(utf8.Span)) return false;
        JsonDocument? parsed = null;
        try
        {
            parsed = JsonDocument.Parse(utf8, s_options);
            if (parsed.RootElement.ValueKind != JsonValueKind.Object) return false;
            ReadAll(parsed.RootElement);
            (document, parsed) = (parsed, null);
            return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // Half a surrogate pair in an escape is told as an invalid operation.
            return false;
        }
        finally
        {
            parsed?.Dispose();
        }
    }

    public static string? TextOf(JsonElement element, string member) =>
        element.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    // Escapes are looked at when a text is read: all are read before any is believed.
    private static void ReadAll(JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var member in element.EnumerateObject())
                {
                    _ = member.Name;
                    ReadAll(member.Value);
                }
                break;
            case JsonValueKind.Array:
                foreach (var item in element.EnumerateArray()) ReadAll(item);
                break;
            case JsonValueKind.String:
                _ = element.GetString();
                break;
        }
    }
}
