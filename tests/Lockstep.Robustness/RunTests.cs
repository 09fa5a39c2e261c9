using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary><c>lockstep run</c> against a server.</summary>
[Trait("speed", "medium")]
public sealed class RunTests : IAsyncLifetime
{
    private readonly Scratch _scratch = new();
    private PublishedServer _server = null!;

    public async Task InitializeAsync()
    {
        var repository = await ConfigRepository.CreateAsync(_scratch["config.git"],
        [
            ("shop.yml", "db:\n  host: db1\n  ports: [5432, 5433]\n  password: ${secret:shop/db#password}\nfeature.on: true\nempty: ''\nquote: \"a 'b' \\\"c\\\" $d\\nline\"\n"),
            ("loader.yml", "ld.preload: /tmp/evil.so\n"), ("path.yml", "PATH: /tmp\n"), ("same.yml", "db.host: a\ndb_host: b\n"),
        ]);
        _server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        (await _server.RunAsync(["secret", "set", "shop/db"], """{"password":"p4ss-word","user":"app"}""")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _scratch.Dispose();
    }

    [Fact]
    public async Task The_child_has_config_and_secrets_and_no_token()
    {
        var lines = await EnvironmentAsync("shop", "production");
        lines["DB_HOST"].ShouldBe("db1");
        lines["DB_PORTS_0_"].ShouldBe("5432");
        lines["DB_PASSWORD"].ShouldBe("p4ss-word");
        lines["FEATURE_ON"].ShouldBe("true");
        lines["EMPTY"].ShouldBe("");
        lines["QUOTE"].ShouldBe("a 'b' \"c\" $d\nline");
        lines.ShouldNotContainKey("LOCKSTEP_TOKEN");
        lines.ShouldNotContainKey("LOCKSTEP_TOKEN_FILE");
        lines.Values.ShouldNotContain(v => v.Contains(_server.Token, StringComparison.Ordinal));
        lines.ShouldContainKey("PATH");
    }

    [Theory]
    [InlineData("exit 0", 0)]
    [InlineData("exit 7", 7)]
    [InlineData("exit 255", 255)]
    [InlineData("kill -9 $$", 137)]
    [InlineData("kill -15 $$", 143)]
    public async Task The_status_is_the_child_s(string script, int status) => (await RunAsync("sh", "-c", script)).ExitCode.ShouldBe(status);

    [Fact]
    public async Task A_command_that_does_not_exist_is_127_and_one_that_can_t_be_executed_126()
    {
        var missing = await RunAsync("no-such-command-here");
        missing.ExitCode.ShouldBe(127);
        missing.Error.ShouldContain("no-such-command-here");
        var plain = await RunAsync(_scratch.Write("plain.txt", "no program"));
        plain.ExitCode.ShouldBe(126);
        plain.Error.ShouldContain("plain.txt");
        (await RunAsync(_scratch.Path)).ExitCode.ShouldBe(126);
    }

    [Fact]
    public async Task Arguments_streams_and_the_working_directory_are_the_child_s()
    {
        var start = _server.CommandOf("run", "-s", "shop", "-e", "production", "--", "sh", "-c", "cat; pwd; printf '%s|' \"$@\"; echo oops >&2", "sh", "a b", "", "--json", "$X");
        var result = await Tool.RunAsync(start, "from stdin\n");
        result.Ok().ShouldBe($"from stdin\n{start.WorkingDirectory}\na b||--json|$X|");
        result.Error.ShouldBe("oops\n");
    }

    [Theory]
    [InlineData(15, "TERM")]
    [InlineData(2, "INT")]
    [InlineData(1, "HUP")]
    [InlineData(10, "USR1")]
    public async Task Signals_reach_the_child(int number, string name)
    {
        await using var running = Running.Start(_server.CommandOf("run", "-s", "shop", "-e", "production", "--",
            "sh", "-c", $"trap 'echo got {name}; exit 7' {name}; echo waiting; while :; do sleep 0.05; done"));
        await running.SaysAsync("waiting");
        (await running.SignalAsync(number)).ShouldBe(7);
        running.Output.ShouldContain($"got {name}");
    }

    [Fact]
    public async Task A_child_that_a_signal_ends_gives_128_and_its_number()
    {
        await using var running = Running.Start(_server.CommandOf("run", "-s", "shop", "-e", "production", "--", "sh", "-c", "echo waiting; exec sleep 60"));
        await running.SaysAsync("waiting");
        (await running.SignalAsync(15)).ShouldBe(143);
    }

    [Theory]
    [InlineData("loader", "LD_PRELOAD")]
    [InlineData("path", "PATH")]
    [InlineData("same", "DB_HOST")]
    public async Task Names_that_can_t_be_are_an_error_before_the_start(string service, string name)
    {
        var result = await _server.RunAsync("run", "-s", service, "-e", "production", "--", "touch", _scratch["started"]);
        result.ExitCode.ShouldBe(1);
        result.Error.ShouldContain(name);
        File.Exists(_scratch["started"]).ShouldBeFalse();
    }

    [Fact]
    public async Task Without_server_service_or_right_nothing_is_started()
    {
        (await _server.RunAsync("run", "-s", "nobody", "-e", "production", "--", "touch", _scratch["started"])).ExitCode.ShouldBe(3);
        (await _server.RunAsAsync("lks_x", "run", "-s", "shop", "-e", "production", "--", "touch", _scratch["started"])).ExitCode.ShouldBe(4);
        (await _server.RunAsync("run", "-s", "shop", "-e", "production")).ExitCode.ShouldBe(2);
        await _server.KillAsync();
        var down = await _server.RunAsync("run", "-s", "shop", "-e", "production", "--", "touch", _scratch["started"]);
        down.ExitCode.ShouldBe(6);
        down.Error.ShouldContain(_server.Address.GetLeftPart(UriPartial.Authority));
        down.Error.ShouldNotContain("   at ");
        File.Exists(_scratch["started"]).ShouldBeFalse();
    }

    [Fact]
    public async Task A_real_Spring_repository_reaches_the_child()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        (await Tool.RunAsync("git", "clone", "--quiet", "--mirror", bundle, _scratch["petclinic.git"])).Ok();
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = _scratch["petclinic.git"] });
        var result = await server.RunAsync("run", "-s", "customers-service", "-e", "docker", "--", "env", "-0");
        var docker = Parse(result.Ok());
        docker["SERVER_PORT"].ShouldBe("8081");
        docker["SERVER_SHUTDOWN"].ShouldBe("graceful");
        docker["EUREKA_CLIENT_SERVICEURL_DEFAULTZONE"].ShouldBe("http://discovery-server:8761/eureka/");
        docker["SPRING_SQL_INIT_SCHEMA_LOCATIONS"].ShouldBe("classpath*:db/hsqldb/schema.sql");
        docker["MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE"].ShouldBe("*");
        var plain = Parse((await server.RunAsync("run", "-s", "customers-service", "-e", "default", "--", "env", "-0")).Ok());
        plain["SERVER_PORT"].ShouldBe("0");
        plain["EUREKA_INSTANCE_INSTANCE_ID"].ShouldContain("${random.uuid}");
    }

    private Task<ToolResult> RunAsync(params string[] command) => _server.RunAsync(["run", "-s", "shop", "-e", "production", "--", .. command]);

    private async Task<Dictionary<string, string>> EnvironmentAsync(string service, string environment) =>
        Parse((await _server.RunAsync("run", "-s", service, "-e", environment, "--no-masking", "--", "env", "-0")).Ok());

    private static Dictionary<string, string> Parse(string text) =>
        text.Split('\0', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Split('=', 2)).ToDictionary(p => p[0], p => p[1]);
}
