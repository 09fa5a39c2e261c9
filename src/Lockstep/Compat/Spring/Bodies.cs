using System.Text;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Compat.Spring;

/// <summary>Reads request bodies, which the listener bounds.</summary>
internal static class Bodies
{
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    public static async Task<string> TextAsync(HttpContext context)
    {
        using var buffer = new MemoryStream();
        await context.Request.Body.CopyToAsync(buffer, context.RequestAborted);
        try
        {
            return s_strictUtf8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
        }
        catch (DecoderFallbackException)
        {
            // Without the inner exception, which quotes the body.
            throw new LockstepException(ErrorCode.BadRequest, "the body is not UTF-8 text");
        }
    }

    public static bool Is(HttpRequest request, string mediaType) =>
        request.ContentType is { } type && type.AsSpan().TrimStart().StartsWith(mediaType, StringComparison.OrdinalIgnoreCase);
}
