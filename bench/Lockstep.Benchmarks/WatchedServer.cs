using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A server with two documents of about 2 KB to watch: <c>plain</c> without secrets, one of whose values can be changed, and <c>sealed</c>, one of whose values comes from a secret.</summary>
internal sealed class WatchedServer : IAsyncDisposable
{
    public const string Plain = "plain", Sealed = "sealed";

    private const int Keys = 40;

    private readonly Scratch _scratch = new();
    private PublishedServer? _server;
    private long _before;
    private bool _pinned;
    private int _secrets;

    private WatchedServer()
    {
    }

    public PublishedServer Server => _server!;

    /// <summary>A service token that reads: all watchers show it, as the instances of one service do.</summary>
    public string Token { get; private set; } = "";

    public static async Task<WatchedServer> StartAsync()
    {
        var watched = new WatchedServer();
        try
        {
            await watched.SetUpAsync();
            return watched;
        }
        catch
        {
            await watched.DisposeAsync();
            throw;
        }
    }

    public LockstepDialect Watch(string service, HeldDocument? holds = null) => new(Server.Address, Token, service, holds);

    /// <summary>A connection of the administrator's, for what changes.</summary>
    public Caller Caller() => new(Server.Address, Server.Token);

    /// <summary>Changes one value of <c>plain</c> and nothing else: it is pinned to the release before its second commit, or unpinned again, so that Git takes no part.</summary>
    /// <returns>What the watchers are sent holds the marker; the change begins with the call.</returns>
    public (byte[] Marker, Action<Caller> Change) NextConfigChange()
    {
        _pinned = !_pinned;
        return _pinned
            ? ("marker-first"u8.ToArray(), caller => caller.Send("POST", "/v1/config/plain/production/rollback", $$"""{"to":{{_before}}}"""))
            : ("marker-second"u8.ToArray(), caller => caller.Send("DELETE", "/v1/config/plain/production/pin"));
    }

    /// <summary>A new version of the one secret of <c>sealed</c>.</summary>
    public (byte[] Marker, Action<Caller> Change) NextSecretChange()
    {
        var value = $"a-password-of-some-length-{++_secrets:000000}";
        return (Encoding.UTF8.GetBytes(value), caller => caller.Send("PUT", "/v1/secrets/bench/db", $$$"""{"value":{"user":"bench","password":"{{{value}}}"}}"""));
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        _scratch.Dispose();
    }

    private async Task SetUpAsync()
    {
        var repository = await ConfigRepository.CreateAsync(_scratch["config.git"], [("plain.yml", Text("marker-first")), ("sealed.yml", Text("${secret:bench/db#password}"))]);
        _server = await PublishedServer.StartAsync(new() { Settings = Processes.Unlimited, ConfigUrl = repository.Path, Environment = Processes.Collectable });
        await PostAsync("/v1/secrets", new { id = "bench/db", value = new { user = "bench", password = "a-password-of-some-length-000000" } });
        _before = (await JsonAsync(_server.Client.GetAsync(Config))).GetProperty("release").GetInt64();
        await repository.CommitAsync("plain.yml", Text("marker-second"));
        await PostAsync("/v1/refresh", null);
        var text = await _server.Client.GetStringAsync(Config);
        if (!text.Contains("marker-second", StringComparison.Ordinal)) throw new InvalidOperationException("the second commit is not served");
        Token = (await PostAsync("/v1/tokens", new { name = "watchers", role = "reader" })).GetProperty("token").GetString()!;
    }

    private static Uri Config { get; } = new("/v1/config/plain/production", UriKind.Relative);

    private Task<JsonElement> PostAsync(string path, object? body) => JsonAsync(Server.Client.PostAsync(new Uri(path, UriKind.Relative), body is null ? null : JsonContent.Create(body)));

    private static async Task<JsonElement> JsonAsync(Task<HttpResponseMessage> asked)
    {
        using var answer = await asked;
        answer.EnsureSuccessStatusCode();
        return await answer.Content.ReadFromJsonAsync<JsonElement>();
    }

    private static string Text(string changing)
    {
        var text = new StringBuilder("bench:\n");
        for (var key = 1; key < Keys; key++) text.Append("  section").Append(key / 10).Append("-key").Append(key.ToString("00")).Append(": \"a-value-of-some-length-").Append(key.ToString("00")).Append("\"\n");
        return text.Append("  changing: \"").Append(changing).Append("\"\n").ToString();
    }
}
