using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Secrets;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary>Strict reading of what a request says. What is wrong is refused with the field's name.</summary>
internal static class Requests
{
    /// <summary>The body, of a type with strict rules: unknown and repeated fields, and wrong types, are errors.</summary>
    public static async Task<T> BodyAsync<T>(HttpContext context, JsonTypeInfo<T> type)
    {
        if (!context.Request.HasJsonContentType())
            throw new LockstepException(ErrorCode.BadRequest, "the body must be JSON: send Content-Type: application/json");
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted)
                ?? throw new LockstepException(ErrorCode.BadRequest, "the body must be a JSON object");
        }
        catch (JsonException e)
        {
            // The exception's own message can quote the body, which may hold a secret: only the path and the position are told.
            throw new LockstepException(ErrorCode.BadRequest, Describe(e));
        }
    }

    /// <summary>Refuses query parameters that the route does not have, and repeated ones.</summary>
    public static void AllowQuery(HttpContext context, params ReadOnlySpan<string> names)
    {
        if (!context.Request.QueryString.HasValue) return;
        foreach (var (name, values) in context.Request.Query)
        {
            if (!names.Contains(name)) throw new LockstepException(ErrorCode.BadRequest, $"unknown query parameter '{name}'{Known(names)}");
            if (values.Count != 1) throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' is given {values.Count} times");
        }
    }

    public static string? Text(HttpContext context, string name)
    {
        if (!context.Request.Query.TryGetValue(name, out var value) || value.Count != 1) return null;
        return value[0]!.Any(char.IsControl)
            ? throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' holds a control character")
            : value[0];
    }

    public static long? Number(HttpContext context, string name, long min, long max)
    {
        if (Text(context, name) is not { } text) return null;
        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max
            ? number
            : throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' must be a whole number from {min} to {max}");
    }

    public static bool Flag(HttpContext context, string name, bool otherwise) => Text(context, name) switch
    {
        null => otherwise,
        "true" => true,
        "false" => false,
        _ => throw new LockstepException(ErrorCode.BadRequest, $"the query parameter '{name}' must be true or false"),
    };

    public static DocumentKey Document(HttpContext context) => new(Route(context, "service"), Route(context, "env"), Text(context, "label"));

    public static string Route(HttpContext context, string name) => (string)context.Request.RouteValues[name]!;

    public static SecretId Secret(HttpContext context) => Secret(Route(context, "id"));

    public static SecretId Secret(string text) => SecretId.TryParse(text, out var id)
        ? id
        : throw new LockstepException(ErrorCode.BadRequest,
            "a secret's id is segments of A-Z a-z 0-9 _ . + = - joined by '/', none of them '.' or '..', up to 255 characters; others are percent-encoded (%2C)");

    /// <summary>A secret's value from a body: a string, or a JSON object that is kept as compact text.</summary>
    public static SecretValue Value(JsonElement value)
    {
        try
        {
            return value.ValueKind switch
            {
                JsonValueKind.String => new SecretValue(value.GetString()!),
                JsonValueKind.Object => new SecretValue(SecretValue.Compact(value)),
                _ => throw new LockstepException(ErrorCode.BadRequest, "the field 'value' must be a string or a JSON object"),
            };
        }
        catch (InvalidOperationException)
        {
            // An escape that stands for half a character. Without the inner exception: it may quote the text.
            throw new LockstepException(ErrorCode.BadRequest, "the field 'value' is not valid Unicode text; send binary data as base64");
        }
    }

    private static string Describe(JsonException e)
    {
        var field = TopLevelField(e.Path);
        if (e.Message.Contains("could not be mapped", StringComparison.Ordinal)) return $"unknown field '{field ?? "?"}'";
        if (e.Message.Contains("missing required", StringComparison.Ordinal)) return "a required field is missing: " + Missing(e.Message);
        return field is null
            ? $"the body is not valid JSON (line {e.LineNumber + 1}, byte {e.BytePositionInLine})"
            : $"the field '{field}' has the wrong type or form";
    }

    // Of a path such as $.value.password only the first name: what is below may be part of a secret.
    private static string? TopLevelField(string? path)
    {
        if (path is null || path.Length < 3) return null;
        var name = path[1] == '.' ? path.AsSpan(2) : path.AsSpan(2).Trim("'\"");
        var end = name.IndexOfAny(".[]");
        return (end < 0 ? name : name[..end]).ToString();
    }

    // "…was missing required properties including: 'id', 'value'." — names of ours, nothing of the body.
    private static string Missing(string message)
    {
        var start = message.IndexOf('\'', message.IndexOf("including", StringComparison.Ordinal));
        return start < 0 ? "see /openapi/v1.json" : message[start..].TrimEnd('.');
    }

    private static string Known(ReadOnlySpan<string> names) => names.IsEmpty ? "; there are none here" : $"; known here: {string.Join(", ", names!)}";
}
