using System.Globalization;
using System.Text.Json;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary>Errors as RFC 9457 <c>application/problem+json</c>.</summary>
internal static class Problems
{
    private static readonly TimeSpan s_retry = TimeSpan.FromSeconds(5);

    /// <param name="context">Where to.</param>
    /// <param name="error">What happened.</param>
    /// <param name="status">A status more exact than the code's own.</param>
    public static Task WriteAsync(HttpContext context, LockstepException error, int? status = null)
    {
        if (!Begin(context, error, "Bearer")) return Task.CompletedTask;
        var response = context.Response;
        response.StatusCode = status ?? error.Code.Status;
        response.ContentType = "application/problem+json";
        var problem = new Problem
        {
            Title = error.Code.Title,
            Status = status ?? error.Code.Status,
            Code = error.Code.Name,
            Detail = error.Message,
            Errors = error.Errors.Count == 0 ? null : error.Errors,
        };
        return response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(problem, WireJson.Context.Problem), context.RequestAborted).AsTask();
    }

    /// <summary>The status and the headers of every failure, in whichever form its body is; false when it is too late to say anything.</summary>
    public static bool Begin(HttpContext context, LockstepException error, string challenge)
    {
        var response = context.Response;
        if (response.HasStarted)
        {
            // A broken connection tells the client that the answer is not whole.
            context.Abort();
            return false;
        }
        // What was said before of the connection and the resource stays true.
        var (allow, connection) = (response.Headers.Allow, response.Headers.Connection);
        response.Clear();
        SecurityHeaders.Set(context);
        (response.Headers.Allow, response.Headers.Connection) = (allow, connection);
        response.StatusCode = error.Code.Status;
        if (error.Code == ErrorCode.Unauthenticated) response.Headers.WWWAuthenticate = challenge;
        if ((error.RetryAfter ?? (error.Code == ErrorCode.Unavailable ? s_retry : null)) is { } wait)
            response.Headers.RetryAfter = Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        return true;
    }

    /// <summary>Gives a body to what the framework answered without one: unknown paths and methods, and requests it refused itself.</summary>
    public static Task WriteForStatusAsync(HttpContext context)
    {
        var status = context.Response.StatusCode;
        var (code, detail) = status switch
        {
            404 => (ErrorCode.NotFound, $"there is nothing at {context.Request.Path}; /openapi/v1.json lists what there is"),
            405 => (ErrorCode.BadRequest, $"{context.Request.Method} is not possible at {context.Request.Path}"),
            413 => (ErrorCode.TooLarge, "the body is over the limit, which is 1 MiB for most calls"),
            _ => (ErrorCode.From(null, status), "the request could not be read"),
        };
        return WriteAsync(context, new LockstepException(code, detail), status);
    }
}
