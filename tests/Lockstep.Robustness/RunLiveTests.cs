using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary><c>lockstep run</c> while the document, the token and the server change.</summary>
[Trait("speed", "medium")]
public sealed class RunLiveTests : RunLive
{
    [Fact]
    public async Task A_change_starts_a_new_process_and_stops_the_old_and_the_fleet_says_so()
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        var release = await ChangeAsync("two");
        await running.SaysAsync("runs two");
        Lines(running).ShouldBe(["runs one", "term one", "runs two"]);
        await FleetShowsAsync(i => i.GetProperty("release").GetInt64() >= release && i.GetProperty("healthy").GetBoolean());
        (await running.SignalAsync(15)).ShouldBe(0);
        Lines(running)[^1].ShouldBe("term two");
    }

    [Fact]
    public async Task Two_changes_within_a_moment_end_with_the_newest()
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        await Task.WhenAll(Enumerable.Range(0, 20).Select(n => SetSecretAsync($"secret-{n}")).Append(ChangeAsync("two")));
        await ChangeAsync("last");
        await running.SaysAsync("runs last");
        var runs = Lines(running).Where(l => l.StartsWith("runs", StringComparison.Ordinal)).ToList();
        runs.Count.ShouldBeLessThan(24, "changes that come while a process is replaced fold");
        runs[^1].ShouldBe("runs last");
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task A_child_that_ignores_SIGTERM_is_killed()
    {
        await using var running = Start(["--watch", "restart", "--stop-timeout", "300ms"], "sh", "-c", "trap '' TERM; echo runs $TAG; while :; do sleep 0.02; done");
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        await ChangeAsync("two");
        await running.SaysAsync("runs two");
        running.Process.Kill(entireProcessTree: true);
    }

    [Fact]
    public async Task A_change_that_does_not_reach_the_process_does_not_restart_it()
    {
        await using var running = Start(["--watch", "restart", "--only-secrets"], "sh", "-c", "echo runs $DB_PASSWORD ${TAG-none} | rev; exec sleep 100");
        await running.SaysAsync("enon terces-tsrif snur");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        var release = await ChangeAsync("two");
        await FleetShowsAsync(i => i.GetProperty("release").GetInt64() >= release && i.GetProperty("current").GetBoolean());
        Lines(running).Length.ShouldBe(1);
        await SetSecretAsync("other-secret");
        await running.SaysAsync("enon terces-rehto snur");
    }

    [Fact]
    public async Task Without_a_watch_option_the_process_is_left_alone()
    {
        await using var running = Start([], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        await ChangeAsync("two");
        await FleetShowsAsync(i => !i.GetProperty("current").GetBoolean());
        Lines(running).ShouldBe(["runs one"]);
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task A_signal_tells_of_a_change_and_the_mounted_files_are_the_new_ones()
    {
        var directory = Directory.CreateDirectory(Files["mount"]).FullName;
        await using var running = Start(["--watch", "signal=HUP", "--mount", directory], "env", $"DIR={directory}", "sh", "-c", "echo \"has $(cat $DIR/tag) ${DB_PASSWORD-none}\"\n" + Reporting);
        await running.SaysAsync("has one none");
        await FleetShowsAsync(_ => true);
        var release = await ChangeAsync("two");
        await running.SaysAsync("hup  two");
        await FleetShowsAsync(i => i.GetProperty("release").GetInt64() >= release && i.GetProperty("current").GetBoolean());
        Directory.GetFileSystemEntries(directory).ShouldBeEmpty("nobody else sees the files");
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task A_document_that_can_not_be_an_environment_is_refused_and_the_next_is_taken()
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        await Repository.CommitAsync("shop.yml", Config("bad") + "path: /tmp\n");
        await RefreshAsync();
        await running.SaysAsync("is not taken");
        await FleetShowsAsync(i => i.GetProperty("reason").GetString()?.Contains("PATH", StringComparison.Ordinal) == true);
        await ChangeAsync("good");
        await running.SaysAsync("runs good");
        running.Output.ShouldNotContain("runs bad");
        running.Output.ShouldNotContain("first-secret");
    }

    [Fact]
    public async Task A_document_that_is_too_large_for_any_process_leaves_the_old_one()
    {
        // A quarter of the stack's limit is what arguments and environment may take.
        var start = CommandOf(["--watch", "restart"], null, "sh", "-c", Reporting);
        foreach (var argument in new[] { start.FileName, "--stack=1048576" }) start.ArgumentList.Insert(0, argument);
        start.FileName = "prlimit";
        await using var running = Running.Start(start);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        await Repository.CommitAsync("shop.yml", Config("bad") + string.Concat(Enumerable.Range(0, 4).Select(i => $"k{i}: {new string('x', 100_000)}\n")));
        await RefreshAsync();
        await running.SaysAsync("is not taken");
        await FleetShowsAsync(i => i.GetProperty("reason").GetString()?.Contains("larger than this system takes", StringComparison.Ordinal) == true);
        running.Output.ShouldNotContain("term");
        await ChangeAsync("good");
        await running.SaysAsync("runs good");
    }

    [Fact]
    public async Task A_command_that_is_gone_when_it_is_to_start_again_is_a_refusal()
    {
        var command = Files.Write("command", "#!/bin/sh\n" + Reporting);
        File.SetUnixFileMode(command, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await using var running = Start(["--watch", "restart", "--listen", $"127.0.0.1:{Tool.FreePort()}"], command);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(_ => true);
        File.SetUnixFileMode(command, UnixFileMode.UserRead);
        await ChangeAsync("two");
        await running.SaysAsync("is not taken");
        running.Output.ShouldNotContain("term");
    }

    [Fact]
    public async Task A_rolled_token_stops_the_process_with_4_and_takes_the_fallback_away()
    {
        var token = await TokenAsync("app");
        var fallback = Files["fallback"];
        await using var running = StartAs(token, ["--fallback", fallback], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await Tool.UntilAsync(() => Task.FromResult(File.Exists(fallback)), Deadline, "the fallback is written");
        using (var api = Server.Api()) await api.RollTokenAsync("app");
        (await running.EndedAsync()).ShouldBe(4);
        running.Output.ShouldContain("term one");
        File.Exists(fallback).ShouldBeFalse();
        running.Output.ShouldNotContain(token);
    }

    [Fact]
    public async Task A_revoked_token_ends_what_the_process_started_as_well()
    {
        var token = await TokenAsync("app");
        await using var running = StartAs(token, ["--stop-timeout", "500ms"], "sh", "-c", "sh -c 'sleep 601; echo' & sh -c \"trap '' TERM; sleep 602; sleep 602\" & echo runs; sleep 603; echo done");
        await running.SaysAsync("runs");
        await FleetShowsAsync(_ => true);
        var all = (await Tool.RunAsync("ps", "-o", "pid=", "-s", $"{running.Process.Id}")).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        all.Length.ShouldBeGreaterThan(4);
        using (var api = Server.Api()) await api.RevokeTokenAsync("app");
        (await running.EndedAsync()).ShouldBe(4);
        all.ShouldAllBe(p => !Directory.Exists("/proc/" + p) || File.ReadAllText($"/proc/{p}/stat").Contains(") Z", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_kill_stops_the_process_and_takes_the_fallback_and_its_files_away()
    {
        var token = await TokenAsync("app");
        var (fallback, directory) = (Files["fallback"], Directory.CreateDirectory(Files["mount"]).FullName);
        await using var running = StartAs(token, ["--fallback", fallback, "--mount", directory], "env", $"DIR={directory}", "sh", "-c", Reporting);
        await running.SaysAsync("runs");
        await Tool.UntilAsync(() => Task.FromResult(File.Exists(fallback)), Deadline, "the fallback is written");
        using (var api = Server.Api())
        {
            (await api.KillAsync(new KillRequest { All = true, DryRun = true })).Tokens.Select(t => t.Name).ShouldContain("app");
            running.Process.HasExited.ShouldBeFalse();
            (await api.KillAsync(new KillRequest { All = true })).Tokens.Select(t => t.Name).ShouldContain("app");
        }
        (await running.EndedAsync()).ShouldBe(4);
        File.Exists(fallback).ShouldBeFalse();
        Directory.EnumerateFileSystemEntries(directory).ShouldBeEmpty();
        running.Output.ShouldNotContain(token);
    }

    [Fact]
    public async Task The_policy_decides_what_a_revoked_token_does()
    {
        var token = await TokenAsync("app");
        var directory = Directory.CreateDirectory(Files["mount"]).FullName;
        await using var running = StartAs(token, ["--on-kill", "signal=HUP", "--mount", directory], "env", $"DIR={directory}", "sh", "-c", Reporting);
        await running.SaysAsync("runs");
        await FleetShowsAsync(_ => true);
        using (var api = Server.Api()) await api.RevokeTokenAsync("app");
        await running.SaysAsync("hup  \n");
        running.Process.HasExited.ShouldBeFalse();
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task A_server_that_is_away_stops_nothing_and_its_changes_arrive_when_it_is_back()
    {
        await using var running = Start(["--watch", "restart"], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await FleetShowsAsync(i => i.GetProperty("current").GetBoolean());
        await Server.KillAsync();
        await running.SaysAsync("the server is away");
        Lines(running).Count(l => l.StartsWith("runs", StringComparison.Ordinal)).ShouldBe(1);
        await Server.StartAgainAsync();
        await ChangeAsync("two");
        await running.SaysAsync("runs two");
    }

    [Fact]
    public async Task A_fallback_starts_the_process_while_no_server_answers_unless_it_is_not_to_be_trusted()
    {
        var fallback = Files["fallback"];
        (await FallbackAsync(fallback)).Ok().ShouldBe("one\n");
        await Server.KillAsync();
        var away = await FallbackAsync(fallback);
        away.Ok().ShouldBe("one\n");
        away.Error.ShouldContain("no server answers: running on");

        var good = await File.ReadAllBytesAsync(fallback);
        await File.WriteAllBytesAsync(fallback, good[..^7]);
        await RefusedAsync(fallback, "torn");
        await File.WriteAllBytesAsync(fallback, good);
        File.SetUnixFileMode(fallback, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.OtherRead);
        await RefusedAsync(fallback, "others can read it");
        File.SetUnixFileMode(fallback, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await RefusedAsync(fallback, "old", "--fallback-max-age", "1ms");
        var other = CommandOf(["--fallback", fallback], "lks_other_token", "sh", "-c", "echo started");
        (await Tool.RunAsync(other)).ExitCode.ShouldBe(6, "it is sealed with another token");
        if (!Environment.IsPrivilegedProcess) return;
        (await Tool.RunAsync("chown", "65534", fallback)).Ok();
        await RefusedAsync(fallback, "someone else's");
    }

    [Fact]
    public async Task A_fallback_that_can_not_be_written_is_told_of_while_all_is_well()
    {
        await using var running = Start(["--fallback", "/proc/nowhere/shop"], "sh", "-c", Reporting);
        await running.SaysAsync("runs one");
        await running.SaysAsync("--fallback /proc/nowhere/shop: ");
        (await running.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task Files_that_went_with_the_token_come_back_with_the_next_one()
    {
        var token = Files.Write("token", await TokenAsync("app"));
        File.SetUnixFileMode(token, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var directory = Directory.CreateDirectory(Files["mount"]).FullName;
        var start = CommandOf(["--on-kill", "none", "--mount", directory, "--watch", "signal=HUP"], null, "env", $"DIR={directory}", "sh", "-c",
            "trap '' HUP; has() { while ! cat $DIR/tag 2>/dev/null; do sleep 0.05; done; echo; }; has; while [ -e $DIR/tag ]; do sleep 0.05; done; echo taken; has; echo back; exec sleep 100");
        start.Environment.Remove("LOCKSTEP_TOKEN");
        start.Environment["LOCKSTEP_TOKEN_FILE"] = token;
        await using var running = Running.Start(start);
        await running.SaysAsync("one");
        await FleetShowsAsync(_ => true);
        using var api = Server.Api();
        var next = await api.RollTokenAsync("app");
        await running.SaysAsync("taken");
        await File.WriteAllTextAsync(token, next.Token);
        await running.SaysAsync("back");
    }

    [Theory]
    [InlineData("--release", "1", "--watch", "restart")]
    [InlineData("--watch", "sometimes")]
    [InlineData("--on-kill", "restart")]
    [InlineData("--ready", "8080")]
    [InlineData("--stop-timeout", "10")]
    [InlineData("--stop-timeout", "60d")]
    [InlineData("--ready-timeout", "25h")]
    [InlineData("--listen", "8080")]
    [InlineData("--mount", "/no/such/directory")]
    public async Task What_does_not_go_together_is_a_usage_error(params string[] options)
    {
        var result = await Tool.RunAsync(CommandOf(options, null, "touch", Files["started"]));
        result.ExitCode.ShouldBe(2, result.Error);
        File.Exists(Files["started"]).ShouldBeFalse();
    }

    [Fact]
    public async Task A_release_of_the_past_is_fixed_and_the_token_s_end_still_reaches_the_process()
    {
        var token = await TokenAsync("app");
        var release = await ChangeAsync("two");
        await ChangeAsync("three");
        await using var running = StartAs(token, ["--release", $"{release}"], "sh", "-c", Reporting);
        await running.SaysAsync("runs two");
        await FleetShowsAsync(_ => true);
        using (var api = Server.Api()) await api.RevokeTokenAsync("app");
        (await running.EndedAsync()).ShouldBe(4);
        Lines(running).ShouldNotContain("runs three");
    }
}
