using System.Text.Json;
using Lockstep.Http;
using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>The management listener: health and metrics, without a token, on a port of its own.</summary>
internal sealed class ManagementHost : IAsyncDisposable
{
    private readonly WebApplication _app;

    private ManagementHost(WebApplication app) => _app = app;

    public string Address => WebHosts.AddressOf(_app);

    public static async Task<ManagementHost> StartAsync(
        ListenAddress listen, TlsCertificate? tls, (Health Health, OpenMetrics Metrics) parts, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var app = WebHosts.Create(listen, tls, loggers, maxConnections: 256);
        app.UseSecurityHeaders();
        MapHealth(app, parts.Health, withReasons: true);
        app.MapGet("/metrics", context =>
        {
            var openMetrics = OpenMetrics.IsAskedFor(context.Request.Headers.Accept);
            context.Response.ContentType = openMetrics ? OpenMetrics.ContentType : OpenMetrics.PrometheusContentType;
            return context.Response.WriteAsync(parts.Metrics.Write(openMetrics), context.RequestAborted);
        });
        await Listening.StartAsync(app, listen, "management", cancellationToken);
        return new ManagementHost(app);
    }

    /// <summary><c>/livez</c>, <c>/startupz</c>, <c>/readyz</c> and its other name <c>/healthz</c>.</summary>
    /// <param name="routes">Where to.</param>
    /// <param name="health">What to tell.</param>
    /// <param name="withReasons">Whether readiness says what is wrong; strangers are not told.</param>
    public static void MapHealth(IEndpointRouteBuilder routes, Health health, bool withReasons)
    {
        routes.MapGet("/livez", context => AnswerAsync(context, true, "live"));
        routes.MapGet("/startupz", context => AnswerAsync(context, health.IsStarted, health.IsStarted ? "started" : "starting"));
        RequestDelegate ready = async context =>
        {
            var (isReady, checks) = await health.CheckAsync(context.RequestAborted);
            await AnswerAsync(context, isReady, isReady ? "ready" : "not ready", withReasons ? checks : null);
        };
        routes.MapGet("/readyz", ready);
        routes.MapGet("/healthz", ready);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private static async Task AnswerAsync(HttpContext context, bool ok, string status, IReadOnlyDictionary<string, string>? checks = null)
    {
        context.Response.StatusCode = ok ? 200 : 503;
        context.Response.ContentType = "application/json";
        await using var json = new Utf8JsonWriter(context.Response.BodyWriter);
        json.WriteStartObject();
        json.WriteString("status", status);
        if (checks is not null)
        {
            json.WriteStartObject("checks");
            foreach (var (name, result) in checks) json.WriteString(name, result);
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }
}
