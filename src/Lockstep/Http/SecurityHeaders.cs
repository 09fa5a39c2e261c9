using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Lockstep.Http;

/// <summary>
/// What every answer tells a browser that got it: that it is no page, may not be kept, framed, guessed at or told of to others. Set before anything is answered,
/// so that all answers have them; who may be kept says so itself.
/// </summary>
internal static class SecurityHeaders
{
    private static readonly StringValues s_noStore = "no-store";
    private static readonly StringValues s_noSniff = "nosniff";
    private static readonly StringValues s_policy = "default-src 'none'; frame-ancestors 'none'";
    private static readonly StringValues s_noReferrer = "no-referrer";
    private static readonly StringValues s_oneYear = "max-age=31536000";

    /// <summary>After what finds out which scheme the client used, and before everything else.</summary>
    public static void UseSecurityHeaders(this IApplicationBuilder app) => app.Use(next => context =>
    {
        Set(context);
        return next(context);
    });

    /// <summary>Sets them; once more after the headers of an answer were cleared.</summary>
    public static void Set(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.CacheControl = s_noStore;
        headers.XContentTypeOptions = s_noSniff;
        headers.ContentSecurityPolicy = s_policy;
        headers["Referrer-Policy"] = s_noReferrer;
        if (context.Request.IsHttps) headers.StrictTransportSecurity = s_oneYear;
    }
}
