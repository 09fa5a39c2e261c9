using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Gate;
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
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }

    public static Task JsonAsync(HttpContext context, Action<Utf8JsonWriter> write, string contentType = Json)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, DocumentRenderer.WriterOptions)) write(json);
        return BytesAsync(context, buffer.WrittenMemory, contentType);
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
        if (response.HasStarted)
        {
            // Too late to say anything: a broken connection tells the client that the answer is not whole.
            context.Abort();
            return Task.CompletedTask;
        }
        response.Clear();
        response.StatusCode = error.Code == ErrorCode.InvalidConfig ? 500 : error.Code.Status;
        if (error.Code == ErrorCode.Unauthenticated) response.Headers.WWWAuthenticate = "Basic realm=\"lockstep\"";
        if ((error.RetryAfter ?? (error.Code == ErrorCode.Unavailable ? TimeSpan.FromSeconds(5) : null)) is { } wait)
            response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
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
