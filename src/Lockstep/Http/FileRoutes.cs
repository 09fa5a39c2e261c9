using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Gate;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Lockstep.Http;

/// <summary><c>/v1/files</c>: the files of the repository, one by one.</summary>
internal sealed class FileRoutes(Gate.Gate gate)
{
    private const int MaxBytes = 1024 * 1024;
    private const int MaxMessage = 1000;

    public void Map(Api api)
    {
        api.Map("GET", "/v1/files/{**path}", GetAsync);
        api.Map("PUT", "/v1/files/{**path}", PutAsync);
        api.Map("DELETE", "/v1/files/{**path}", DeleteAsync);
    }

    private async Task GetAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label");
        var file = await gate.ReadFileAsync(call, PathOf(context), Label(context), context.RequestAborted);
        var response = context.Response;
        response.Headers.ETag = file.ETag;
        response.Headers["Lockstep-Release"] = file.Release.ToString(System.Globalization.CultureInfo.InvariantCulture);
        // RFC 9110: If-None-Match compares weakly; caches on the way may have made the ETag weak.
        if (context.Request.Headers.IfNoneMatch is { Count: > 0 } etags && (Lists(etags, file.ETag) || Lists(etags, "W/" + file.ETag)))
        {
            response.StatusCode = 304;
            return;
        }
        // As bytes, whatever they are: nothing that a browser would run.
        response.ContentType = "application/octet-stream";
        response.ContentLength = file.Content.Length;
        await response.Body.WriteAsync(file.Content, context.RequestAborted);
    }

    private async Task PutAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label", "message");
        if (context.Request.Headers.ContentEncoding.ToString() is not ("" or "identity"))
            throw new LockstepException(ErrorCode.BadRequest, "the body is kept as it is sent: leave Content-Encoding out");
        var holds = Condition(context.Request, mayCreate: true);
        await WriteAsync(context, call, new FileWrite(PathOf(context), await ContentAsync(context), holds));
    }

    private async Task DeleteAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label", "message");
        await WriteAsync(context, call, new FileWrite(PathOf(context), null, Condition(context.Request, mayCreate: false)));
    }

    private async Task WriteAsync(HttpContext context, CallContext call, FileWrite write)
    {
        var message = Requests.Text(context, "message");
        if (message is { Length: 0 or > MaxMessage }) throw new LockstepException(ErrorCode.BadRequest, $"'message' must have 1 to {MaxMessage} characters");
        var written = await gate.WriteFileAsync(call, write with { Label = Label(context), Message = message }, context.RequestAborted);
        if (written.ETag is not null) context.Response.Headers.ETag = written.ETag;
        await Responses.JsonAsync(context, new RefreshResult
        {
            Release = written.Outcome.Release.Number,
            Commit = written.Commit,
            Changed = [.. Gate.Gate.VisibleChanges(call, written.Outcome).Select(c => new DocumentName
            {
                Service = c.Key.Service,
                Environment = c.Key.Environment,
                Label = c.Key.Label ?? gate.TrackedBranch,
            })],
        }, WireJson.Context.RefreshResult);
    }

    /// <summary>RFC 9110: <c>If-Match</c> compares strongly; <c>If-None-Match: *</c> asks that there is nothing yet.</summary>
    private static Func<string?, bool> Condition(HttpRequest request, bool mayCreate)
    {
        var (match, none) = (request.Headers.IfMatch, request.Headers.IfNoneMatch);
        if (match.Count > 0 && none.Count > 0) throw new LockstepException(ErrorCode.BadRequest, "send either If-Match or If-None-Match");
        if (match.Count > 0) return etag => etag is not null && Lists(match, etag);
        if (none.Count == 0)
            throw new LockstepException(ErrorCode.PreconditionRequired, "send If-Match with the ETag that GET gave" + (mayCreate ? ", or If-None-Match: * to create the file" : ""));
        return mayCreate && none.ToString().Trim() == "*"
            ? etag => etag is null
            : throw new LockstepException(ErrorCode.BadRequest, mayCreate ? "If-None-Match must be *" : "a file is deleted with If-Match");
    }

    private static bool Lists(StringValues header, string etag) =>
        header.OfType<string>().SelectMany(h => h.Split(',', StringSplitOptions.TrimEntries)).Any(h => h == "*" || h == etag);

    private static async Task<byte[]> ContentAsync(HttpContext context)
    {
        using var kept = new MemoryStream();
        var buffer = new byte[32 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            kept.Write(buffer, 0, read);
            if (kept.Length > MaxBytes) throw new LockstepException(ErrorCode.TooLarge, "a file that is put has at most 1 MiB; push larger ones with git");
        }
        return kept.ToArray();
    }

    private static string PathOf(HttpContext context) => (string?)context.Request.RouteValues["path"] ?? "";

    private static string? Label(HttpContext context) => Requests.Text(context, "label") is { } label && label is { Length: 0 or > 255 }
        ? throw new LockstepException(ErrorCode.BadRequest, "'label' must have 1 to 255 characters")
        : Gate.Gate.LabelOf(Requests.Text(context, "label"));
}
