using System.Diagnostics;
using Lockstep.Tests.Cli;
using Lockstep.Tests.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Agent;

[Trait("speed", "medium")]
public sealed class RunTests
{
    private static readonly string[] s_document = ["-s", "payments", "-e", "production", "--"];

    [Fact]
    public async Task The_child_gets_values_over_inherited_ones_and_no_token()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("""{"db.host":"new","db.port":5432,"on":true,"empty":"","two":"a\nb ü"}"""));
        using var lockstep = LockstepProcess.For(server);
        lockstep.Environment["DB_HOST"] = "inherited";
        lockstep.Environment["KEPT"] = "yes";
        lockstep.Environment["LOCKSTEP_TOKEN_FILE"] = "/nowhere";
        var ended = await Run(lockstep, "sh", "-c", "echo \"$DB_HOST|$DB_PORT|$ON|${EMPTY-unset}|$TWO|$KEPT|${LOCKSTEP_TOKEN-none}|${LOCKSTEP_TOKEN_FILE-none}|${LOCKSTEP_ADDR:+kept}\"");
        ended.ShouldBe(new(0, "new|5432|true||a\nb ü|yes|none|none|kept\n", ""));
    }

    [Fact]
    public async Task Arguments_and_streams_reach_the_child_as_they_are()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        (await Run(lockstep, "printf", "[%s]", "--help", "-s", "--", "@file", "", "a b", "[suggest]", "--json", "*", "\\"))
            .Output.ShouldBe("[--help][-s][--][@file][][a b][[suggest]][--json][*][\\]");
        (await lockstep.RunWithInputAsync("through\n", ["run", .. s_document, "sh", "-c", "cat; echo err >&2; echo $0"])).ShouldBe(new(0, "through\nsh\n", "err\n"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(42)]
    [InlineData(255)]
    public async Task The_childs_exit_status_is_passed_on(int status)
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        (await Run(lockstep, "sh", "-c", $"exit {status}")).ExitCode.ShouldBe(status);
    }

    [Fact]
    public async Task A_signal_that_ends_the_child_is_128_and_its_number()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        (await Run(lockstep, "sh", "-c", "kill -KILL $$")).ExitCode.ShouldBe(137);
        (await Run(lockstep, "sh", "-c", "kill -TERM $$")).ExitCode.ShouldBe(143);
    }

    [Fact]
    public async Task What_can_not_be_started_is_126_or_127_and_nothing_is_read_for_it()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        var plain = lockstep.WriteFile("plain", "x");
        lockstep.WriteFile("true", "#!/bin/sh\nexit 9\n", UnixFileMode.UserRead | UnixFileMode.UserExecute);
        (await Run(lockstep, "no-such-command")).ExitCode.ShouldBe(127);
        (await Run(lockstep, "./nowhere")).ExitCode.ShouldBe(127);
        (await Run(lockstep, plain)).ExitCode.ShouldBe(126);
        (await Run(lockstep, lockstep.Directory)).ExitCode.ShouldBe(126);
        server.Requests.ShouldBeEmpty();
        (await Run(lockstep, "true")).ExitCode.ShouldBe(0, "the working directory is not searched");
        (await Run(lockstep, "./true")).ExitCode.ShouldBe(9);
        var broken = lockstep.WriteFile("broken", "\u007fELF nonsense", UnixFileMode.UserRead | UnixFileMode.UserExecute);
        (await Run(lockstep, broken)).ExitCode.ShouldBe(126);
    }

    [Theory]
    [InlineData("""{"db.host":"hunter2","db-host":"hunter3"}""", "db-host", "db.host", "DB_HOST")]
    [InlineData("""{"ld.preload":"hunter2"}""", "ld.preload", "LD_PRELOAD", "not started")]
    [InlineData("""{"path":"hunter2"}""", "path", "PATH", "not started")]
    [InlineData("""{"node.options":"hunter2"}""", "node.options", "NODE_OPTIONS", "not started")]
    [InlineData("""{"lockstep.token":"hunter2"}""", "lockstep.token", "LOCKSTEP_TOKEN", "not started")]
    [InlineData("""{"a":"hunter2\u0000"}""", "a", "NUL", "not started")]
    public async Task What_does_not_fit_an_environment_is_an_error_before_the_start(string values, string key, string name, string more)
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot(values));
        using var lockstep = LockstepProcess.For(server);
        var ended = await Run(lockstep, "touch", "started");
        ended.ExitCode.ShouldBe(1);
        foreach (var part in new[] { key, name, more }) ended.Error.ShouldContain(part);
        ended.Error.ShouldNotContain("hunter");
        File.Exists(Path.Combine(lockstep.Directory, "started")).ShouldBeFalse();
    }

    [Fact]
    public async Task What_is_too_large_names_the_key()
    {
        var values = "{\"one.big\":\"" + new string('x', 131_072) + "\"}";
        await using var server = await FakeServer.StartAsync(context => FakeServer.Json(context, FakeServer.Snapshot(values)));
        using var lockstep = LockstepProcess.For(server);
        var single = await Run(lockstep, "true");
        single.ExitCode.ShouldBe(1);
        single.Error.ShouldContain("one.big: is longer than 128 KiB");
        values = "{" + string.Join(',', Enumerable.Range(0, 90).Select(i => $"\"k{i}\":\"{new string('x', 100_000 + i)}\"")) + "}";
        var total = await Run(lockstep, "true");
        total.ExitCode.ShouldBe(2);
        total.Error.ShouldContain("K89");
    }

    [Fact]
    public async Task Withheld_keys_and_a_stale_document_are_told()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}", """["db.password"]""", """{"since":"2026-01-01T00:00:00Z","reason":"fetch failed"}"""));
        using var lockstep = LockstepProcess.For(server);
        var ended = await Run(lockstep, "true");
        ended.ExitCode.ShouldBe(0);
        ended.Error.ShouldContain("db.password");
        ended.Error.ShouldContain("fetch failed");
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    [InlineData("QUIT")]
    [InlineData("USR1")]
    [InlineData("USR2")]
    [InlineData("WINCH")]
    public async Task Signals_are_passed_on(string signal)
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        using var process = lockstep.Start(["run", .. s_document, "bash", "-c", $"trap 'echo got; exit 7' {signal}; echo ready; for i in $(seq 1000); do sleep 0.02; done"]);
        (await process.StandardOutput.ReadLineAsync()).ShouldBe("ready");
        Process.Start("kill", [$"-{signal}", process.Id.ToString()]).WaitForExit();
        (await LockstepProcess.EndAsync(process)).ShouldBe(new(7, "got\n", ""));
    }

    [Fact]
    public async Task What_a_terminal_sends_reaches_the_child_once()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("{}"));
        using var lockstep = LockstepProcess.For(server);
        // The loop hears the signal whenever it comes; the sleep after it is for a second one to be seen.
        var script = lockstep.WriteFile("child.sh", "trap 'echo got; heard=1' INT\necho ready\ni=0\nwhile [ -z \"$heard\" ] && [ $i -lt 1000 ]; do sleep 0.02; i=$((i+1)); done\nsleep 0.3\nexit 7\n");
        // exec: a shell in between would get the Ctrl-C too, and some (dash) then end with 130 whatever their child said.
        var start = new ProcessStartInfo("script", ["-qec", $"exec {LockstepProcess.Executable} run -s a -e b -- sh {script}", "/dev/null"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var (name, value) in lockstep.Environment) start.Environment[name] = value;
        using var process = Process.Start(start)!;
        while ((await process.StandardOutput.ReadLineAsync())!.Trim() != "ready")
        {
            // What the terminal says before.
        }
        await process.StandardInput.WriteAsync("\u0003");
        await process.StandardInput.FlushAsync();
        var ended = await LockstepProcess.EndAsync(process);
        ended.ExitCode.ShouldBe(7);
        ended.Output.Split("got").Length.ShouldBe(2, ended.Output);
    }

    private static Task<LockstepProcess.Ended> Run(LockstepProcess lockstep, params string[] command) => lockstep.RunAsync(["run", .. s_document, .. command]);
}
