using System.Net;
using System.Net.Sockets;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>L7: what can't be loaded ends the start with a status that is not 0, the name of the thing and the way out; never with a stack trace.</summary>
[Trait("speed", "medium")]
public sealed class StartFailureTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public Task A_missing_settings_file() => FailsAsync(["--config", _scratch["nowhere.yaml"]], "nowhere.yaml");

    [Fact]
    public Task An_unknown_key_is_named_with_its_line() => FailsAsync(Settings("lisen: http://127.0.0.1:1\n"), "server.yaml:4", "lisen", "listen");

    [Fact]
    public Task Settings_that_are_no_YAML() => FailsAsync(Settings("known: [\n"), "server.yaml:");

    [Fact]
    public Task A_repository_that_does_not_exist() => FailsAsync(Settings($"config: {{ url: {_scratch["nowhere"]} }}\n"), "config.url", _scratch["nowhere"], "does not exist");

    [Fact]
    public Task A_directory_that_is_not_a_repository()
    {
        Directory.CreateDirectory(_scratch["plain"]);
        return FailsAsync(Settings($"config: {{ url: {_scratch["plain"]} }}\n"), "config.url", "not a Git repository", "git init");
    }

    [Fact]
    public async Task A_remote_that_nobody_answers_at()
    {
        var url = $"http://127.0.0.1:{Tool.FreePort()}/config.git";
        await FailsAsync(Settings($"config: {{ url: {url} }}\n"), url);
    }

    [Fact]
    public async Task A_branch_that_the_repository_does_not_have()
    {
        var repository = await ConfigRepository.CreateAsync(_scratch["config.git"], [("a.yml", "a: 1\n")]);
        await FailsAsync(Settings($"config: {{ url: {repository.Path}, branch: trunk }}\n"), "trunk", "config.branch", "main");
    }

    [Fact]
    public async Task A_port_that_is_taken()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var port = ((IPEndPoint)listener.LocalEndpoint).Port;
        await FailsAsync(Settings("", $"http://127.0.0.1:{port}"), $":{port}", "'listen'");
    }

    [Fact]
    public async Task A_master_key_that_others_may_read()
    {
        var settings = await InitialisedAsync();
        File.SetUnixFileMode(_scratch["data/master.key"], (UnixFileMode)0b110_100_100);
        await FailsAsync(settings, "master.key", "other users", "chmod 600");
    }

    [Fact]
    public async Task A_master_key_that_is_not_this_database_s()
    {
        var settings = await InitialisedAsync();
        await File.WriteAllTextAsync(_scratch["data/master.key"], Convert.ToBase64String(new byte[32]) + "\n");
        await FailsAsync(settings, "master key", "Put");
    }

    [Fact]
    public async Task A_master_key_that_is_gone()
    {
        var settings = await InitialisedAsync();
        File.Delete(_scratch["data/master.key"]);
        await FailsAsync(settings, "master.key", "missing");
    }

    [Fact]
    public async Task A_database_that_is_no_database()
    {
        var settings = await InitialisedAsync();
        var file = Directory.GetFiles(_scratch["data"], "*.db").Single();
        await File.WriteAllTextAsync(file, new string('x', 8192));
        await FailsAsync(settings, file);
    }

    [Fact]
    public Task A_PostgreSQL_that_nobody_answers_at()
    {
        var port = Tool.FreePort();
        return FailsAsync(Settings($"database: postgres://nobody:hunter2@127.0.0.1:{port}/lockstep\nconfig: {{ url: /nowhere }}\n"), $"127.0.0.1:{port}");
    }

    [Fact]
    public Task A_data_directory_that_can_t_be_made()
    {
        // A file in its way stops root too.
        _scratch.Write("data", "");
        return FailsAsync(Settings(""), _scratch["data"], "data:");
    }

    private async Task<string[]> InitialisedAsync()
    {
        var settings = Settings("");
        (await Tool.RunAsync(Tool.Start(PublishedServer.Executable, ["init", .. settings], _scratch.Path))).Ok();
        return settings;
    }

    private string[] Settings(string more, string? listen = null) =>
        ["--config", _scratch.Write("server.yaml", $"listen: {listen ?? $"http://127.0.0.1:{Tool.FreePort()}"}\nmanagement: http://127.0.0.1:{Tool.FreePort()}\ndata: {_scratch["data"]}\n{more}")];

    private async Task FailsAsync(string[] arguments, params string[] named)
    {
        var result = await Tool.RunAsync(Tool.Start(PublishedServer.Executable, ["serve", .. arguments], _scratch.Path));
        result.ExitCode.ShouldNotBe(0);
        // Above 128 a signal ended it, which is how an unhandled exception looks.
        result.ExitCode.ShouldBeLessThan(128, result.Error);
        foreach (var name in named) result.Error.ShouldContain(name, Case.Sensitive);
        (result.Output + result.Error).ShouldNotContain("   at ");
        (result.Output + result.Error).ShouldNotContain("hunter2");
    }
}
