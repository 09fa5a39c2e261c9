using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Gate;
using Lockstep.Releases;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;

namespace Lockstep.Compat.Spring;

/// <summary>Answers in Spring's form.</summary>
internal static class SpringAnswers
{
    public const string Json = "application/json";
    public const string PlainText = "text/plain;charset=UTF-8";

    public static Task TextAsync(HttpContext context, string text) => BytesAsync(context, Encoding.UTF8.GetBytes(text), PlainText);

    public static Task BytesAsync(HttpContext context, ReadOnlyMemory<byte> bytes, string contentType)
    {
        context.Response.ContentType = contentType;
        context.Response.ContentLength = bytes.Length;
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    public static Task JsonAsync(HttpContext context, Action<Utf8JsonWriter> write, string contentType = Json)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, DocumentRenderer.WriterOptions)) write(json);
        return BytesAsync(context, buffer.WrittenMemory, contentType);
    }

    /// <summary>Tells what release the answer is of, and since when it is not the newest, as <c>/v1/config</c> does.</summary>
    public static void Head(HttpContext context, ServedHead head)
    {
        var headers = context.Response.Headers;
        headers["Lockstep-Release"] = head.Release.ToString(CultureInfo.InvariantCulture);
        if (head.Stale is { } stale) headers["Lockstep-Stale"] = stale.Since.UtcDateTime.ToString("O", CultureInfo.InvariantCulture);
    }

    /// <summary>What the encryption routes answer instead of a text.</summary>
    public static Task CipherStatusAsync(HttpContext context, int status, string word, string? description)
    {
        context.Response.StatusCode = status;
        return JsonAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("status", word);
            if (description is not null) json.WriteString("description", description);
            json.WriteEndObject();
        });
    }

    /// <summary>A failure: <c>timestamp</c>, <c>status</c>, <c>error</c>, <c>message</c>, <c>path</c>. Files that do not parse are 500.</summary>
    public static Task ProblemAsync(HttpContext context, LockstepException error, DateTimeOffset now)
    {
        var response = context.Response;
        if (error.Code == ErrorCode.InvalidConfig) response.StatusCode = 500;
        return JsonAsync(context, json =>
        {
            json.WriteStartObject();
            json.WriteString("timestamp", now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'+00:00'", CultureInfo.InvariantCulture));
            json.WriteNumber("status", response.StatusCode);
            json.WriteString("error", ReasonPhrases.GetReasonPhrase(response.StatusCode));
            json.WriteString("message", error.Message);
            json.WriteString("path", context.Request.Path.Value);
            json.WriteEndObject();
        });
    }
}
