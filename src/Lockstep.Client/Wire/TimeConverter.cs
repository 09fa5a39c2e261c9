using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A moment as RFC 3339: written in UTC with <c>Z</c>; read with any offset, which must be there.</summary>
internal sealed class TimeConverter : JsonConverter<DateTimeOffset>
{
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String && reader.GetString() is { Length: >= 20 } text
            && text[10] is 'T' && (text[^1] == 'Z' || text[^6] is '+' or '-') && reader.TryGetDateTimeOffset(out var time))
            return time.ToUniversalTime();
        throw new JsonException("A time is a string as RFC 3339 writes it, such as 2026-01-31T23:59:00Z.");
    }

    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) =>
        writer.WriteStringValue(ToWire(value));

    /// <summary>A UTC DateTime is written with Z and without trailing zeros; milliseconds are what the server keeps.</summary>
    public static DateTime ToWire(DateTimeOffset value) => new(value.UtcTicks - (value.UtcTicks % TimeSpan.TicksPerMillisecond), DateTimeKind.Utc);
}
