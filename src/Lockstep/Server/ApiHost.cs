using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Compat.Git;
using Lockstep.Compat.Spring;
using Lockstep.Http;
using Lockstep.Push;
using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Logging;
using IPNetwork = System.Net.IPNetwork;

namespace Lockstep.Server;

/// <summary>The listener that clients use.</summary>
internal sealed class ApiHost : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly WatchHub _watchers;
    private readonly Health _health;
    private readonly TimeSpan _drain;

    private ApiHost(WebApplication app, WatchHub watchers, Health health, TimeSpan drain) => (_app, _watchers, _health, _drain) = (app, watchers, health, drain);

    public string Address => WebHosts.AddressOf(_app);

    public static async Task<ApiHost> StartAsync(
        ServerOptions options, TlsCertificate? tls, Gate.Gate gate, (Authenticator Authenticator, FailedAuthentications Failures, RateLimits Rates) access, Health health, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        var watchers = new WatchHub(gate, loggers.CreateLogger<WatchHub>());
        var app = WebHosts.Create(options.Listen, tls, loggers, maxConnections: 20_000);
        if (!options.TrustedProxies.IsEmpty) app.UseForwardedHeaders(Forwarded(options.TrustedProxies));
        app.UseSecurityHeaders();
        app.Use(async (context, next) =>
        {
            // Who comes again on the connection it has would not find the other server that it should go to.
            if (health.IsStopping) context.Response.Headers.Connection = "close";
            await next(context);
            if (context.Response is { HasStarted: false, StatusCode: >= 400, ContentType: null }) await Problems.WriteForStatusAsync(context);
        });
        app.UseWhen(context => context.Request.Path.Equals(WatchEndpoint.Path, StringComparison.Ordinal), watch => watch.UseWebSockets());
        app.UseRouting();
        MapRoutes(app, gate, watchers, access, health, loggers);
        await Listening.StartAsync(app, options.Listen, "listen", cancellationToken);
        return new ApiHost(app, watchers, health, options.Operation.Drain);
    }

    /// <summary>Every route of the listener.</summary>
    public static void MapRoutes(
        IEndpointRouteBuilder routes, Gate.Gate gate, WatchHub watchers, (Authenticator Authenticator, FailedAuthentications Failures, RateLimits Rates) access, Health health, ILoggerFactory loggers)
    {
        ManagementHost.MapHealth(routes, health, withReasons: false);
        var api = new Api(access.Authenticator, access.Failures, access.Rates, routes, loggers.CreateLogger<Api>());
        new ConfigRoutes(gate).Map(api);
        new FileRoutes(gate).Map(api);
        new PlanRoutes(gate).Map(api);
        new SecretRoutes(gate).Map(api);
        new TokenRoutes(gate).Map(api);
        new RoleRoutes(gate).Map(api);
        new KillRoutes(gate).Map(api);
        new AuditRoutes(gate).Map(api);
        new FleetRoutes(gate).Map(api);
        new LoginRoutes(gate.Options.Issuers).Map(api);
        new KeyRoutes(gate).Map(api);
        api.MapWatch(WatchEndpoint.Path, new WatchEndpoint(watchers).HandleAsync);
        if (gate.Options.Compat.Spring) MapSpring(api, new SpringEndpoint(gate));
        new HookRoutes(gate, access.Failures, access.Rates, loggers.CreateLogger<HookRoutes>()).Map(api);
        if (gate.Options.Compat.Git) MapGit(api, new GitEndpoint(gate, loggers.CreateLogger<GitEndpoint>()));
        OpenApi.Map(routes);
    }

    private static void MapSpring(Api api, SpringEndpoint spring)
    {
        var style = new ApiStyle(spring.WriteProblemAsync);
        api.Map("GET", SpringEndpoint.Pattern, spring.GetAsync, style);
        api.Map("HEAD", SpringEndpoint.Pattern, spring.GetAsync, style);
        api.Map("POST", SpringEndpoint.Pattern, spring.PostAsync, style);
    }

    private static void MapGit(Api api, GitEndpoint git)
    {
        var style = new ApiStyle(GitEndpoint.WriteProblemAsync);
        api.Map("GET", GitEndpoint.InfoRefs, git.AdvertiseAsync, style);
        api.Map("POST", GitEndpoint.UploadPack, git.FetchAsync, style, isLong: true);
        api.Map("POST", GitEndpoint.ReceivePack, git.PushAsync, style);
    }

    public async ValueTask DisposeAsync()
    {
        _health.Stopping();
        // Load balancers take a moment to hear of it; whom they still send here is served. The end of a process is about the time of the world.
        if (_drain > TimeSpan.Zero) await Task.Delay(_drain, TimeProvider.System);
        // Watchers stay for good unless they are told: they go first, or the requests that are waited for would never end.
        await _watchers.DisposeAsync();
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private static ForwardedHeadersOptions Forwarded(IReadOnlyList<IPNetwork> proxies)
    {
        var options = new ForwardedHeadersOptions { ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto, ForwardLimit = null };
        options.KnownIPNetworks.Clear();
        options.KnownProxies.Clear();
        foreach (var proxy in proxies) options.KnownIPNetworks.Add(proxy);
        return options;
    }
}
