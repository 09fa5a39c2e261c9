using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>Null is <c>false</c> on the wire, everything else the object.</summary>
internal sealed class StaleConverter : JsonConverter<StaleInfo?>
{
    public override bool HandleNull => true;

    public override StaleInfo? Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType switch
        {
            JsonTokenType.False => null,
            JsonTokenType.StartObject => JsonSerializer.Deserialize(ref reader, LockstepJson.Tolerant.StaleInfo),
            _ => throw new JsonException("stale is false or an object"),
        };

    public override void Write(Utf8JsonWriter writer, StaleInfo? value, JsonSerializerOptions options)
    {
        if (value is null) writer.WriteBooleanValue(false);
        else JsonSerializer.Serialize(writer, value, LockstepJson.Default.StaleInfo);
    }
}
