using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Audit;

/// <summary>
/// The canonical text of an entry: the properties in the order <see cref="AuditEntry"/> declares them, camel case, absent ones left out,
/// everything beyond ASCII escaped. The MAC is over this text as stored, so a later property is added at the end.
/// </summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AuditEntry))]
[JsonSerializable(typeof(SignedTail))]
[JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class AuditJson : JsonSerializerContext
{
    public static byte[] Serialize(AuditEntry entry) => JsonSerializer.SerializeToUtf8Bytes(entry, Default.AuditEntry);

    /// <summary>The entry, or null when the text is none.</summary>
    public static AuditEntry? Parse(string text)
    {
        try
        {
            return JsonSerializer.Deserialize(text, Default.AuditEntry);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
