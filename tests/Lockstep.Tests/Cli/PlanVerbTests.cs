using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

[Trait("speed", "medium")]
public sealed class PlanVerbTests
{
    [Fact]
    public async Task The_clone_is_planned_as_it_lies_there_committed_or_not()
    {
        using var repository = TestRepository.With(("application.yml", "shared: 1\n"), ("shop.yml", "color: red\n"), ("gone.yml", "a: 1\n"), ("notes.txt", "x"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var document in new[] { "shop/dev", "gone/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        using var lockstep = For(server);
        var clone = Clone(repository, lockstep);
        (await lockstep.RunAsync("config", "plan", "clone")).ShouldBe(new(0, "0 changed files: 0 documents would change, 0 would break\na push of it would be accepted\n", ""));

        // One commit, one file that is not committed, one that Git does not know, one that is ignored, one that is gone.
        await File.WriteAllTextAsync(Path.Combine(clone, "shop.yml"), "color: blue\n");
        TestRepository.Run(clone, [], "commit", "--quiet", "--all", "--message", "blue");
        await File.WriteAllTextAsync(Path.Combine(clone, "application.yml"), "shared: two\n");
        await File.WriteAllTextAsync(Path.Combine(clone, "shop-dev.yml"), "own: 1\n");
        await File.WriteAllTextAsync(Path.Combine(clone, ".gitignore"), "ignored.yml\n");
        await File.WriteAllTextAsync(Path.Combine(clone, "ignored.yml"), "a: {\n");
        // Nor what the developer's own config ignores everywhere.
        Directory.CreateDirectory(Path.Combine(lockstep.Directory, "home", ".config", "git"));
        await File.WriteAllTextAsync(Path.Combine(lockstep.Directory, "home", ".config", "git", "ignore"), "*.local.yml\n");
        await File.WriteAllTextAsync(Path.Combine(clone, "mine.local.yml"), "a: {\n");
        lockstep.Environment["HOME"] = Path.Combine(lockstep.Directory, "home");
        await File.WriteAllTextAsync(Path.Combine(clone, "notes.txt"), "y");
        File.Delete(Path.Combine(clone, "gone.yml"));
        // The server's branch has gone on meanwhile: that is not taken back.
        repository.Commit(("other.yml", "a: 1\n"));
        await server.RefreshAsync();
        TestRepository.Run(clone, [], "fetch", "--quiet", "origin");

        var ended = await lockstep.RunAsync("config", "plan", "--json", Path.Combine("clone", "."));
        ended.ExitCode.ShouldBe(0, ended.Error);
        var plan = JsonElement.Parse(ended.Output);
        plan.GetProperty("commit").GetString().ShouldBe(repository.Head);
        plan.GetProperty("documents").EnumerateArray().Single(d => d.GetProperty("service").GetString() == "shop")
            .GetProperty("keys").EnumerateArray().Select(k => k.GetString()).ShouldBe(["color", "own", "shared"]);
        var shown = (await lockstep.RunAsync("config", "plan", "clone")).Output;
        shown.ShouldStartWith("untracked: shop-dev.yml\n");
        shown.ShouldContain("4 changed files");
        TestRepository.Run(clone, [], "status", "--porcelain").ShouldContain("application.yml");
    }

    [Fact]
    public async Task What_would_break_is_shown_with_its_place_and_is_exit_status_1()
    {
        using var repository = TestRepository.With(("shop.yml", "color: red\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("shop/dev")).Ok();
        using var lockstep = For(server);
        var clone = Clone(repository, lockstep);
        await File.WriteAllTextAsync(Path.Combine(clone, "shop.yml"), "color: red\nport: ${secret:nothing}\n");
        var ended = await lockstep.RunAsync("config", "plan", "clone");
        ended.ExitCode.ShouldBe(1);
        ended.Output.ShouldContain("breaks        shop/dev (main), 0 live instances");
        ended.Output.ShouldContain("error    shop.yml:2: port: the secret 'nothing' does not exist");
        ended.Output.ShouldEndWith("a push of it would be refused\n");
    }

    [Fact]
    public async Task What_is_no_clone_of_the_servers_repository_is_said_to_be_none()
    {
        using var repository = TestRepository.With(("shop.yml", "color: red\n"));
        using var other = TestRepository.With(("shop.yml", "color: green\n"), ("b.yml", "b: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        using var lockstep = For(server);
        var nowhere = await lockstep.RunAsync("config", "plan");
        nowhere.ExitCode.ShouldBe(3);
        nowhere.Error.ShouldContain("is in no Git clone");
        Clone(other, lockstep);
        var foreign = await lockstep.RunAsync("config", "plan", "clone");
        foreign.ExitCode.ShouldBe(3);
        foreign.Error.ShouldContain("git fetch");
        var usage = await lockstep.RunAsync("config", "plan", "clone", "--secret", "db");
        usage.ExitCode.ShouldBe(2);
        usage.Error.ShouldContain("ID@VERSION");
    }

    private static LockstepProcess For(TestServer server)
    {
        var lockstep = new LockstepProcess();
        lockstep.Environment["LOCKSTEP_ADDR"] = server.Server.Address;
        lockstep.Environment["LOCKSTEP_TOKEN"] = server.Admin.Token;
        return lockstep;
    }

    private static string Clone(TestRepository repository, LockstepProcess lockstep)
    {
        var clone = Path.Combine(lockstep.Directory, "clone");
        TestRepository.Run(lockstep.Directory, [], "clone", "--quiet", repository.Path, clone);
        return clone;
    }
}
