using Lockstep.Access;
using Lockstep.Config.Git;
using Lockstep.Server;
using Lockstep.Settings;
using Lockstep.Storage;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Support;

/// <summary>The whole server in this process, on ports of its own and a temporary data directory; may be stopped and started again on the same data.</summary>
internal sealed class TestServer : IAsyncDisposable
{
    private readonly TimeProvider _time;
    private readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, MaxConnectionsPerServer = 256 }) { Timeout = TimeSpan.FromSeconds(60) };
    private readonly ILoggerFactory _loggers;
    private LockstepServer? _server;
    private int _tokens;

    private TestServer(ServerOptions options, TempDirectory data, TimeProvider time)
    {
        (Options, Data, _time) = (options, data, time);
        _loggers = LoggerFactory.Create(l => l.SetMinimumLevel(LogLevel.Trace).AddProvider(Logs));
    }

    public ServerOptions Options { get; set; }

    public TempDirectory Data { get; }

    public GitLimits? GitLimits { get; set; }

    public CapturedLogs Logs { get; } = new();

    public LockstepServer Server => _server ?? throw new InvalidOperationException("the server is stopped");

    public Lockstep.Gate.Gate Gate => Server.Gate;

    public Database Database => Gate.Database;

    /// <summary>May do everything.</summary>
    public TestCaller Admin { get; private set; } = null!;

    /// <summary>Who sends no token.</summary>
    public TestCaller Nobody => new(this, null);

    public long Release => Gate.Lane.Live.Release.Number;

    public static Task<TestServer> StartAsync(
        TestRepository repository, Func<ServerOptions, ServerOptions>? with = null, TimeProvider? time = null, string? database = null) =>
        StartedAsync(Create(repository.Path, with, time, database));

    /// <summary>A server with a repository of its own, empty at first.</summary>
    public static Task<TestServer> StartEmbeddedAsync(Func<ServerOptions, ServerOptions>? with = null, GitLimits? limits = null)
    {
        var server = Create("", o => (with ?? (x => x))(o with { Config = o.Config with { Url = null } }));
        server.GitLimits = limits;
        return StartedAsync(server);
    }

    /// <summary>A server that is not started yet.</summary>
    public static TestServer Create(string url, Func<ServerOptions, ServerOptions>? with = null, TimeProvider? time = null, string? database = null)
    {
        var data = new TempDirectory();
        var options = new ServerOptions
        {
            Listen = ListenAddress.Loopback(0),
            Management = ListenAddress.Loopback(0),
            Data = data.File("data"),
            Database = database,
            MasterKey = new MasterKeyOptions(),
            // Nothing happens by itself: tests refresh.
            Config = new ConfigOptions { Url = url, Refresh = TimeSpan.FromHours(1) },
        };
        return new TestServer(with is null ? options : with(options), data, time ?? TimeProvider.System);
    }

    public async Task StartAsync()
    {
        _server = await LockstepServer.StartAsync(Options, _loggers, _time, CancellationToken.None, GitLimits);
    }

    /// <summary>Makes <see cref="Admin"/> of a server that was started by hand.</summary>
    public async Task AsAdminAsync() => Admin = await AsAsync("admin");

    public async Task StopAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        _server = null;
    }

    public async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    /// <summary>A new token with a role, narrowed as <paramref name="narrow"/> says.</summary>
    public async Task<TestCaller> AsAsync(string role, Func<NewToken, NewToken>? narrow = null)
    {
        var request = new NewToken($"t{Interlocked.Increment(ref _tokens)}-{role}", role);
        var made = await Gate.CreateTokenAsync(CallContext.System("test"), narrow is null ? request : narrow(request), CancellationToken.None);
        return new TestCaller(this, made.Token!.Value.Export()) { Name = made.Record.Name, TokenId = made.Record.Id };
    }

    /// <summary>Makes a secret.</summary>
    public Task<Answer> PutAsync(string id, string value) => Admin.PutAsync("/v1/secrets/" + id, new { value, cas = 0 });

    /// <summary>A new version of a secret that exists.</summary>
    public Task<Answer> PutValueAsync(string id, string value) => Admin.PutAsync("/v1/secrets/" + id, new { value });

    /// <summary>Fetches; the documents that changed, as <c>service/environment</c>, sorted.</summary>
    public async Task<string[]> RefreshAsync()
    {
        var answer = (await Admin.PostAsync("/v1/refresh")).Ok();
        return [.. answer.Json.GetProperty("changed").EnumerateArray()
            .Select(d => $"{d.GetProperty("service").GetString()}/{d.GetProperty("environment").GetString()}").Order(StringComparer.Ordinal)];
    }

    public Task<int> ExecuteAsync(string sql) => Database.WriteAsync(s => s.Execute(sql), CancellationToken.None);

    public Task<List<string>> QueryAsync(string sql) =>
        Database.ReadAsync(s => s.Query(sql, r => Convert.ToString(r.GetValue(0), System.Globalization.CultureInfo.InvariantCulture)!), CancellationToken.None);

    public async Task<Answer> SendAsync(HttpRequestMessage request)
    {
        using (request)
        {
            using var response = await _http.SendAsync(request);
            return new Answer((int)response.StatusCode, await response.Content.ReadAsByteArrayAsync(), [.. response.Headers.Concat(response.Content.Headers)]);
        }
    }

    private static async Task<TestServer> StartedAsync(TestServer server)
    {
        try
        {
            await server.StartAsync();
            server.Admin = await server.AsAsync("admin");
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _http.Dispose();
        _loggers.Dispose();
        Data.Dispose();
    }
}
