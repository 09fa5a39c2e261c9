using System.Collections.Concurrent;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Client;

/// <summary>A server at the wire that answers what the test says and keeps what it was asked.</summary>
internal sealed class FakeServer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FakeServer(WebApplication app) => _app = app;

    public Uri Address => new(_app.Urls.Single());

    public ConcurrentQueue<Seen> Requests { get; } = new();

    /// <summary>One request: method and target as they stood on the wire.</summary>
    public sealed record Seen(string Method, string Target, IHeaderDictionary Headers, string Body)
    {
        public override string ToString() => $"{Method} {Target}";
    }

    public static async Task<FakeServer> StartAsync(Func<HttpContext, Task> answer)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var server = new FakeServer(builder.Build());
        server._app.Run(async context =>
        {
            using var reader = new StreamReader(context.Request.Body);
            server.Requests.Enqueue(new Seen(context.Request.Method, context.Features.Get<IHttpRequestFeature>()!.RawTarget,
                new HeaderDictionary(context.Request.Headers.ToDictionary(h => h.Key, h => h.Value, StringComparer.OrdinalIgnoreCase)), await reader.ReadToEndAsync()));
            await answer(context);
        });
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Answers every request with one JSON text.</summary>
    public static Task<FakeServer> StartAsync(string json, int status = 200) => StartAsync(context => Json(context, json, status));

    public static Task Json(HttpContext context, string json, int status = 200)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = status >= 400 ? "application/problem+json" : "application/json";
        return context.Response.WriteAsync(json);
    }

    public static Task Problem(HttpContext context, string code, int status, string detail) =>
        Json(context, $$"""{"type":"about:blank","title":"t","status":{{status}},"code":"{{code}}","detail":"{{detail}}","errors":null}""", status);

    public static string Snapshot(string values, string withheld = "[]", string stale = "false") =>
        $$"""{"release":42,"commit":"9f1c","stale":{{stale}},"service":"payments","environment":"production","label":"main","values":{{values}},"secrets":[],"withheld":{{withheld}}}""";

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }
}
