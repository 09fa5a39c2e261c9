using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Push;
using Lockstep.Server;
using Lockstep.Settings;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Tests.Support;

/// <summary>The routes as the server maps them.</summary>
internal static class Routes
{
    /// <summary>Method and pattern of each, such as <c>GET /v1/secrets/{**id}</c>.</summary>
    public static async Task<IReadOnlyList<(string Method, string Pattern)>> OfAsync(TestServer server)
    {
        await using var app = WebHosts.Create(ListenAddress.Loopback(0), null, NullLoggerFactory.Instance, maxConnections: 1);
        var access = (server.Gate.Authenticator, new FailedAuthentications(TimeProvider.System), new RateLimits(0, TimeProvider.System));
        await using var watchers = new WatchHub(server.Gate, NullLogger<WatchHub>.Instance);
        ApiHost.MapRoutes(app, server.Gate, watchers, access, new Health(TimeProvider.System), NullLoggerFactory.Instance);
        return [.. ((IEndpointRouteBuilder)app).DataSources.SelectMany(d => d.Endpoints).Cast<RouteEndpoint>()
            .SelectMany(e => e.Metadata.GetMetadata<HttpMethodMetadata>()!.HttpMethods.Select(m => (m, e.RoutePattern.RawText!)))];
    }

    /// <summary>A path of a pattern, with something that may stand in each of its places.</summary>
    public static string Fill(string pattern) => string.Join('/', pattern.Split('/').Select(part => part switch
    {
        "{n}" => "1",
        "{service}" => "a",
        "{env}" => "dev",
        "{**path}" => pattern.StartsWith("/spring", StringComparison.Ordinal) ? "a/dev" : "a.yml",
        ['{', ..] => "one",
        _ => part,
    }));
}
