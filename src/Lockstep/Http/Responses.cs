using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Lockstep.Config;
using Lockstep.Config.Formats;
using Lockstep.Gate;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary>Writing of answers.</summary>
internal static class Responses
{
    private const int SliceBytes = 64 * 1024;

    // Nearly all answers of one release have the same head.
    private static volatile EncodedHead? s_lastHead;

    public static Task JsonAsync<T>(HttpContext context, T value, JsonTypeInfo<T> type, int status = 200)
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(value, type);
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = bytes.Length;
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    /// <summary>A snapshot: the head, then the document's shared bytes.</summary>
    public static async Task SnapshotAsync(HttpContext context, ConfigRead read, string format)
    {
        var response = context.Response;
        response.Headers.ETag = read.Document.ETag;
        var head = Encode(read.Head);
        response.Headers["Lockstep-Release"] = head.Release;
        if (read.Head.Stale is { } stale) response.Headers["Lockstep-Stale"] = stale.Since.UtcDateTime.ToString("O", CultureInfo.InvariantCulture);
        if (read.NotModified)
        {
            response.StatusCode = 304;
            return;
        }
        if (format == "json") await WriteJsonAsync(response, head.Bytes, read.Document.Body);
        else await WriteFormatAsync(response, read, format);
    }

    private static async Task WriteJsonAsync(HttpResponse response, byte[] head, ReadOnlyMemory<byte> body)
    {
        response.ContentType = "application/json";
        response.ContentLength = head.Length + body.Length;
        response.BodyWriter.Write(head);
        // In slices, each awaited: who reads slowly holds a slice and not a copy of the document.
        do
        {
            var slice = body[..Math.Min(body.Length, SliceBytes)];
            body = body[slice.Length..];
            if ((await response.BodyWriter.WriteAsync(slice)).IsCompleted) return;
        }
        while (!body.IsEmpty);
    }

    private static async Task WriteFormatAsync(HttpResponse response, ConfigRead read, string format)
    {
        var text = DocumentFormat.Write(format, ValuesOf(read.Document.Body));
        var bytes = Encoding.UTF8.GetBytes(text);
        response.ContentType = format switch
        {
            "nested" => "application/json",
            "yaml" => "application/yaml",
            _ => "text/plain; charset=utf-8",
        };
        response.ContentLength = bytes.Length;
        await response.Body.WriteAsync(bytes);
    }

    private static EncodedHead Encode(SnapshotHead head)
    {
        if (s_lastHead is { } last && last.Head == head) return last;
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            head.WriteTo(json);
            json.WriteEndObject();
        }
        // Open at the end: the document follows.
        var bytes = buffer.WrittenSpan.ToArray();
        bytes[^1] = (byte)',';
        return s_lastHead = new EncodedHead(head, bytes, head.Release.ToString(CultureInfo.InvariantCulture));
    }

    private static List<(string Key, ScalarValue Value)> ValuesOf(ReadOnlyMemory<byte> body)
    {
        byte[] whole = [(byte)'{', .. body.Span];
        using var json = JsonDocument.Parse(whole);
        return [.. json.RootElement.GetProperty("values").EnumerateObject().Select(p => (p.Name, p.Value.ValueKind switch
        {
            JsonValueKind.Number => new ScalarValue(ScalarKind.Number, p.Value.GetRawText()),
            JsonValueKind.True => new ScalarValue(ScalarKind.Boolean, "true"),
            JsonValueKind.False => new ScalarValue(ScalarKind.Boolean, "false"),
            _ => new ScalarValue(ScalarKind.String, p.Value.GetString()!),
        }))];
    }

    private sealed record EncodedHead(SnapshotHead Head, byte[] Bytes, string Release);
}
