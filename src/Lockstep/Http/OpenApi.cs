using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;

namespace Lockstep.Http;

/// <summary><c>/openapi/v1.json</c>: the description of <c>/v1</c>, kept by hand beside the routes and held to them by a test.</summary>
internal static class OpenApi
{
    public static void Map(IEndpointRouteBuilder routes) => routes.MapGet("/openapi/v1.json", async context =>
    {
        context.Response.ContentType = "application/json";
        await using var stream = Open();
        context.Response.ContentLength = stream.Length;
        await stream.CopyToAsync(context.Response.Body, context.RequestAborted);
    });

    public static Stream Open() => typeof(OpenApi).Assembly.GetManifestResourceStream("openapi.v1.json")!;
}
