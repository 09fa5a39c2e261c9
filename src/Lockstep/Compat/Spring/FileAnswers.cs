using System.Globalization;
using Lockstep.Access;
using Lockstep.Config;
using Lockstep.Gate;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary>Plain-text files: <c>/NAME/PROFILE/LABEL/PATH</c>.</summary>
internal sealed class FileAnswers(Gate.Gate gate)
{
    private const string OctetStream = "application/octet-stream";

    public async Task FileAsync(HttpContext context, CallContext call, SourcesQuery query, string path)
    {
        var request = context.Request;
        var binary = request.Headers.Accept.Any(a => a?.Contains(OctetStream, StringComparison.OrdinalIgnoreCase) == true);
        var charset = CharsetOf(request);
        var fill = !binary && Parameters.Flag(request, "resolvePlaceholders", true);
        var read = await gate.ReadServiceFileAsync(call, query, new FileQuery(SpringNames.Path(path), fill ? charset : null, SinceOf(request)), context.RequestAborted);
        // What the network does not take up at once must not go on to a token that ends meanwhile.
        using var life = gate.Authenticator.WhenEnded(call.Caller, context.Abort);
        context.Response.Headers.LastModified = read.LastModified.ToString("R", CultureInfo.InvariantCulture);
        SpringAnswers.Head(context, read.Head);
        if (read.NotModified) context.Response.StatusCode = 304;
        else if (binary) await SpringAnswers.BytesAsync(context, read.Content, OctetStream);
        else if (fill) await SpringAnswers.BytesAsync(context, read.Content, SpringAnswers.PlainText);
        else await SpringAnswers.TextAsync(context, FileText.Decode(read.Content.Span, charset));
    }

    private static DateTimeOffset? SinceOf(HttpRequest request) =>
        DateTimeOffset.TryParseExact(request.Headers.IfModifiedSince, "R", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var since) ? since : null;

    // The first that is named; it says how the file is to be read, not how the answer is written, which is UTF-8.
    private static string CharsetOf(HttpRequest request) => request.Headers.AcceptCharset.ToString().Split(',', ';')[0].Trim();
}
