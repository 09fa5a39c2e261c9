using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>A server with one document and one secret in it, and <c>lockstep run</c> with that document.</summary>
public abstract class RunLive : IAsyncLifetime
{
    private protected static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    /// <summary>Writes what it has and which signals it gets to its output, and runs until SIGTERM.</summary>
    private protected const string Reporting = """
        trap 'echo "term $TAG"; exit 0' TERM
        trap 'echo "hup $TAG $(cat "$DIR"/tag 2>/dev/null)"' HUP
        echo "runs $TAG"
        while :; do sleep 0.02; done
        """;

    private protected Scratch Files { get; } = new();

    private protected ConfigRepository Repository { get; private set; } = null!;

    private protected PublishedServer Server { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        Repository = await ConfigRepository.CreateAsync(Files["config.git"], [("shop.yml", Config("one"))]);
        Server = await PublishedServer.StartAsync(new() { ConfigUrl = Repository.Path });
        await SetSecretAsync("first-secret");
    }

    public async Task DisposeAsync()
    {
        await Server.DisposeAsync();
        Files.Dispose();
    }

    private protected static string Config(string tag) => $"tag: {tag}\ndb.password: ${{secret:shop/db}}\n";

    private protected static string[] Lines(Running running) => running.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    private protected Running Start(string[] options, params string[] command) => Running.Start(CommandOf(options, null, command));

    private protected Running StartAs(string token, string[] options, params string[] command) => Running.Start(CommandOf(options, token, command));

    private protected System.Diagnostics.ProcessStartInfo CommandOf(string[] options, string? token, params string[] command)
    {
        var start = Server.CommandOf(["run", "-s", "shop", "-e", "production", .. options, "--", .. command]);
        if (token is not null) start.Environment["LOCKSTEP_TOKEN"] = token;
        return start;
    }

    private protected Task<ToolResult> FallbackAsync(string file, params string[] more) => Tool.RunAsync(CommandOf(["--fallback", file, .. more], null, "sh", "-c", "echo $TAG"));

    private protected async Task RefusedAsync(string file, string why, params string[] more)
    {
        var result = await FallbackAsync(file, more);
        result.ExitCode.ShouldBe(6, why);
        result.Output.ShouldBe("", why);
        result.Error.ShouldContain(file);
        result.Error.ShouldNotContain("first-secret");
    }

    private protected async Task SetSecretAsync(string value)
    {
        // cas 0 makes it, where it is not there yet.
        using var changed = await Server.Client.PutAsJsonAsync("/v1/secrets/shop/db", new { value });
        if (changed.StatusCode != HttpStatusCode.NotFound) changed.EnsureSuccessStatusCode();
        else (await Server.Client.PutAsJsonAsync("/v1/secrets/shop/db", new { value, cas = 0 })).EnsureSuccessStatusCode();
    }

    private protected async Task<long> ChangeAsync(string tag)
    {
        await Repository.CommitAsync("shop.yml", Config(tag));
        return await RefreshAsync();
    }

    private protected async Task<long> RefreshAsync()
    {
        using var answer = await Server.Client.PostAsync("/v1/refresh", null);
        using var json = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync());
        return json.RootElement.GetProperty("release").GetInt64();
    }

    private protected async Task<string> TokenAsync(string name)
    {
        using var api = Server.Api();
        return (await api.CreateTokenAsync(new TokenCreate { Name = name, Role = "reader" })).Token;
    }

    /// <summary>Waits until the one live instance is as it should be.</summary>
    private protected Task FleetShowsAsync(Func<JsonElement, bool> holds) => Tool.UntilAsync(async () =>
    {
        using var json = JsonDocument.Parse(await Server.Client.GetStringAsync("/v1/fleet/shop/production"));
        return json.RootElement.GetProperty("items").EnumerateArray().Any(holds);
    }, Deadline, "the fleet");
}
