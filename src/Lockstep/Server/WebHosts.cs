using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>Kestrel with nothing around it but routing, and with bounds on what a client may take.</summary>
internal static class WebHosts
{
    /// <summary>The largest request body; secrets have a lower limit of their own.</summary>
    public const int MaxBody = 1024 * 1024;

    // A line ends with CR LF. A proxy that reads a lone LF differently would see other headers, and other requests, than this server.
    static WebHosts() => AppContext.SetSwitch("Microsoft.AspNetCore.Server.Kestrel.DisableHttp1LineFeedTerminators", true);

    /// <summary>A listener that is not started yet; https shows <paramref name="tls"/>.</summary>
    public static WebApplication Create(ListenAddress listen, TlsCertificate? tls, ILoggerFactory loggers, int maxConnections)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.Services.AddRoutingCore();
        builder.Services.Configure<HostOptions>(o => o.ShutdownTimeout = TimeSpan.FromSeconds(15));
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = MaxBody;
            kestrel.Limits.MaxRequestHeadersTotalSize = 16 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 64;
            kestrel.Limits.MaxConcurrentConnections = maxConnections;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Listen(listen.Address, listen.Port, endpoint =>
            {
                // HTTP/2 would carry WebSockets another way, and what is asked here is one thing at a time.
                endpoint.Protocols = HttpProtocols.Http1;
                if (listen.Https) endpoint.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => new(tls!.Offer()), HandshakeTimeout = TimeSpan.FromSeconds(10) });
            });
        });
        return builder.Build();
    }

    /// <summary>The URL of the first listener, with the port that was taken.</summary>
    public static string AddressOf(WebApplication app) =>
        ((IServer)app.Services.GetService(typeof(IServer))!).Features.Get<IServerAddressesFeature>()!.Addresses.First();

    // Signals are the program's business: two hosts run in one process.
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
