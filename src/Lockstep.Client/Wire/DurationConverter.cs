using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A <see cref="TimeSpan"/> as <see cref="Durations"/> writes it.</summary>
internal sealed class DurationConverter : JsonConverter<TimeSpan>
{
    public override TimeSpan Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Durations.TryParse(reader.GetString(), out var duration)
            ? duration
            : throw new JsonException("A duration is a string such as 500ms, 30s, 15m, 24h or 30d.");

    public override void Write(Utf8JsonWriter writer, TimeSpan value, JsonSerializerOptions options) =>
        writer.WriteStringValue(Durations.Format(value));
}
