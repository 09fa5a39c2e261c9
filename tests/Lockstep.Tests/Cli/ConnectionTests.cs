using Lockstep.Tests.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

[Trait("speed", "medium")]
public sealed class ConnectionTests
{
    private const string Me = """{"id":"i","name":"me","roles":[{"role":"reader","permissions":[],"services":[],"environments":[],"secrets":[]}]}""";

    [Fact]
    public async Task A_flag_wins_over_a_variable_and_that_over_the_project_file()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("""{"a":"1"}"""));
        using var lockstep = LockstepProcess.For(server);
        lockstep.WriteFile("lockstep.yaml", "address: http://127.0.0.1:1\nservice: from-file\nenvironment: from-file\n");
        lockstep.Environment["LOCKSTEP_SERVICE"] = "from-variable";
        (await lockstep.RunAsync("config", "get", "a", "-e", "from-flag")).ShouldBe(new(0, "1\n", ""));
        server.Requests.Single().Target.ShouldBe("/v1/config/from-variable/from-flag");
    }

    [Fact]
    public async Task The_token_of_a_development_server_goes_to_its_address_and_nowhere_else()
    {
        await using var dev = await FakeServer.StartAsync(Me);
        await using var other = await FakeServer.StartAsync(Me);
        using var lockstep = new LockstepProcess();
        lockstep.Environment.Clear();
        lockstep.WriteFile(".lockstep/token", "lks_dev\n");
        lockstep.WriteFile(".lockstep/address", dev.Address + "\n");
        (await lockstep.RunAsync("whoami")).ExitCode.ShouldBe(0);
        dev.Requests.Single().Headers.Authorization.ToString().ShouldBe("Bearer lks_dev");
        var elsewhere = await lockstep.RunAsync("whoami", "--addr", other.Address.ToString());
        elsewhere.ExitCode.ShouldBe(4);
        elsewhere.Error.ShouldContain("LOCKSTEP_TOKEN");
        other.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_token_file_that_others_can_read_is_refused_with_the_way_out()
    {
        await using var server = await FakeServer.StartAsync(Me);
        using var lockstep = LockstepProcess.For(server);
        var file = lockstep.WriteFile("token", "lks_x", UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        var refused = await lockstep.RunAsync("whoami", "--token-file", file);
        refused.ExitCode.ShouldBe(2);
        refused.Error.ShouldContain($"chmod 600 {file}");
        server.Requests.ShouldBeEmpty();
        File.SetUnixFileMode(file, UnixFileMode.UserRead);
        (await lockstep.RunAsync("whoami", "--token-file", file)).ExitCode.ShouldBe(0);
        server.Requests.Single().Headers.Authorization.ToString().ShouldBe("Bearer lks_x");
    }

    [Theory]
    [InlineData("token: lks_hunter2\n", "must not be here")]
    [InlineData("adress: http://x\n", "'adress' is not known")]
    [InlineData("address: [a]\n", "plain value")]
    [InlineData("address: a\naddress: b\n", "twice")]
    [InlineData("- a\n", "name: value")]
    [InlineData("a: b: c\n", "not YAML")]
    public async Task A_project_file_is_strict_and_never_holds_a_token(string text, string message)
    {
        using var lockstep = new LockstepProcess();
        lockstep.WriteFile("lockstep.yaml", text);
        var ended = await lockstep.RunAsync("whoami");
        ended.ExitCode.ShouldBe(2);
        ended.Error.ShouldContain(message);
        ended.Error.ShouldContain("lockstep.yaml:");
        ended.Error.ShouldNotContain("hunter2");
    }

    [Theory]
    [InlineData("bad-request", 400, 2)]
    [InlineData("unauthenticated", 401, 4)]
    [InlineData("forbidden", 403, 4)]
    [InlineData("not-found", 404, 3)]
    [InlineData("conflict", 409, 5)]
    [InlineData("locked", 423, 5)]
    [InlineData("internal", 500, 1)]
    [InlineData("unavailable", 503, 6)]
    public async Task A_failure_has_the_exit_status_of_its_code_and_the_servers_words(string code, int status, int exitCode)
    {
        await using var server = await FakeServer.StartAsync(context => FakeServer.Problem(context, code, status, "what failed, and why"));
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("whoami")).ShouldBe(new(exitCode, "", "lockstep: what failed, and why\n"));
        var json = await lockstep.RunAsync("whoami", "--json");
        json.ExitCode.ShouldBe(exitCode);
        json.Error.ShouldContain($"\"code\":\"{code}\"");
        json.Error.ShouldContain("what failed, and why");
    }

    [Fact]
    public async Task A_server_that_is_not_there_is_6_and_wrong_usage_is_2()
    {
        using var lockstep = new LockstepProcess();
        var gone = await lockstep.RunAsync("whoami", "--addr", "http://127.0.0.1:1");
        gone.ExitCode.ShouldBe(6);
        gone.Error.ShouldContain("http://127.0.0.1:1");
        gone.Error.ShouldNotContain(LockstepProcess.Token);
        (await lockstep.RunAsync("whoami", "--addr", "http://config.example.com")).ExitCode.ShouldBe(2);
        (await lockstep.RunAsync("whoami", "--bogus")).ExitCode.ShouldBe(2);
        (await lockstep.RunAsync("bogus")).Error.ShouldContain("'bogus'");
        (await lockstep.RunAsync("config", "diff", "x")).ExitCode.ShouldBe(2);
        (await lockstep.RunAsync()).ExitCode.ShouldBe(2);
    }

    [Fact]
    public async Task The_doctor_says_what_was_found_and_where()
    {
        await using var server = await FakeServer.StartAsync(Me);
        using var lockstep = LockstepProcess.For(server);
        var well = await lockstep.RunAsync("doctor");
        well.ExitCode.ShouldBe(0, well.Output + well.Error);
        well.Output.ShouldContain("from LOCKSTEP_ADDR");
        well.Output.ShouldContain("me with the role reader");
        well.Output.ShouldContain("git version");
        server.Requests.First().Headers.ContainsKey("Authorization").ShouldBeFalse("liveness takes no token");
        lockstep.Environment["LOCKSTEP_ADDR"] = "http://127.0.0.1:1";
        var ill = await lockstep.RunAsync("doctor", "--json");
        ill.ExitCode.ShouldBe(1);
        ill.Output.ShouldContain("\"healthy\":false");
    }
}
