using Lockstep.Tests.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

[Trait("speed", "medium")]
public sealed class AccessVerbTests
{
    private const string Role =
        """{"name":"team","source":"database","permissions":["config:read"],"services":["shop"],"environments":["*"],"secrets":["**"],"paths":[],"cidrs":[],"updatedAt":"2026-01-01T00:00:00Z","updatedBy":"ann"}""";

    [Fact]
    public async Task A_derived_token_is_the_only_output_or_goes_to_a_file_of_the_owner()
    {
        await using var server = await FakeServer.StartAsync("""{"id":"i","name":"ci.x","token":"lks_new","expiresAt":"2026-01-01T00:00:00Z"}""");
        using var lockstep = LockstepProcess.For(server);
        var printed = await lockstep.RunAsync("token", "derive");
        (printed.ExitCode, printed.Output).ShouldBe((0, "lks_new\n"));
        printed.Error.ShouldContain("ci.x");
        var file = Path.Combine(lockstep.Directory, "job.token");
        var kept = await lockstep.RunAsync("token", "derive", "job", "--role", "viewer", "-s", "a", "-s", "b", "-e", "dev", "--secret", "a/**", "--cidr", "10.0.0.0/8", "--expires-in", "15m", "--renewable-for", "12h", "--out", file);
        kept.ExitCode.ShouldBe(0);
        (kept.Output + kept.Error).ShouldNotContain("lks_new");
        File.ReadAllText(file).ShouldBe("lks_new\n");
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        server.Requests.Select(r => $"{r} {r.Body}").ShouldBe([
            "POST /v1/tokens/derive {}",
            """POST /v1/tokens/derive {"name":"job","role":"viewer","services":["a","b"],"environments":["dev"],"secrets":["a/**"],"cidrs":["10.0.0.0/8"],"expiresIn":"15m","renewableFor":"12h"}""",
        ]);
        (await lockstep.RunAsync("token", "derive", "--expires-in", "soon")).ExitCode.ShouldBe(2);
        (await lockstep.RunAsync("token", "derive", "--out", file)).ExitCode.ShouldBe(2);
        server.Requests.Count.ShouldBe(2, "a token that can't be written down is not made");
    }

    [Fact]
    public async Task A_renewal_says_until_when()
    {
        await using var server = await FakeServer.StartAsync("""{"id":"i","name":"job","expiresAt":"2026-01-01T00:00:00Z"}""");
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("token", "renew")).ShouldBe(new(0, "job lives until 2026-01-01 00:00:00Z\n", ""));
        (await lockstep.RunAsync("token", "renew", "--expires-in", "10m", "--json")).Output.ShouldBe("""{"id":"i","name":"job","expiresAt":"2026-01-01T00:00:00Z"}""" + "\n");
        server.Requests.Select(r => $"{r} {r.Body}").ShouldBe(["POST /v1/tokens/renew {}", """POST /v1/tokens/renew {"expiresIn":"10m"}"""]);
    }

    [Fact]
    public async Task Roles_are_listed_shown_and_set_whole()
    {
        await using var server = await FakeServer.StartAsync(context => FakeServer.Json(context, context.Request.Path == "/v1/roles" ? $$"""{"items":[{{Role}}],"next":null}""" : Role));
        using var lockstep = LockstepProcess.For(server);
        var table = (await lockstep.RunAsync("role", "list")).Output.TrimEnd().Split('\n');
        table.Length.ShouldBe(2);
        table[0].ShouldStartWith("NAME  SOURCE    PERMISSIONS");
        table[1].ShouldStartWith("team  database  config:read");
        (await lockstep.RunAsync("role", "show", "team")).ShouldSatisfyAllConditions(e => e.ExitCode.ShouldBe(0), e => e.Output.ShouldContain("shop"), e => e.Output.ShouldContain("ann"));
        (await lockstep.RunAsync("role", "show", "team", "--json")).Output.ShouldBe(Role + "\n");
        (await lockstep.RunAsync("role", "set", "team", "--permission", "config:read", "--permission", "secret:reveal", "-s", "shop", "--secret", "shop/**", "--path", "shop/**", "--cidr", "10.0.0.0/8")).ExitCode.ShouldBe(0);
        (await lockstep.RunAsync("role", "set", "team")).ExitCode.ShouldBe(2, "a role without permissions is none");
        server.Requests.Select(r => $"{r} {r.Body}".TrimEnd()).ShouldBe([
            "GET /v1/roles", "GET /v1/roles/team", "GET /v1/roles/team",
            """PUT /v1/roles/team {"permissions":["config:read","secret:reveal"],"services":["shop"],"secrets":["shop/**"],"cidrs":["10.0.0.0/8"],"paths":["shop/**"]}""",
        ]);
    }

    [Fact]
    public async Task A_role_is_removed_only_when_it_is_meant()
    {
        await using var server = await FakeServer.StartAsync(context => { context.Response.StatusCode = 204; return Task.CompletedTask; });
        using var lockstep = LockstepProcess.For(server);
        var asked = await lockstep.RunWithInputAsync("y\n", "role", "rm", "team");
        asked.ExitCode.ShouldBe(2);
        asked.Error.ShouldContain("--yes");
        server.Requests.ShouldBeEmpty();
        (await lockstep.RunAsync("role", "rm", "team", "--yes")).ShouldBe(new(0, "removed team\n", ""));
        (await lockstep.RunAsync("role", "rm", "team", "--yes", "--force")).ExitCode.ShouldBe(0);
        server.Requests.Select(r => r.ToString()).ShouldBe(["DELETE /v1/roles/team", "DELETE /v1/roles/team?force=true"]);
    }

    [Fact]
    public async Task A_kill_tells_whom_it_would_end_asks_and_ends_them()
    {
        await using var server = await FakeServer.StartAsync("""{"tokens":[{"id":"i1","name":"ci"},{"id":"i2","name":"pay\u001b[2J"}]}""");
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("kill", "-s", "shop", "-e", "prod", "--dry-run")).ShouldBe(new(0, "ci (i1)\npay?[2J (i2)\n2 service tokens would end\n", ""));
        var asked = await lockstep.RunWithInputAsync("y\n", "kill", "-s", "shop");
        asked.ExitCode.ShouldBe(2);
        asked.Error.ShouldContain("2 service tokens: ci, pay?[2J would end");
        asked.Error.ShouldContain("--yes");
        server.Requests.Select(r => $"{r} {r.Body}").ShouldBe([
            """POST /v1/kill {"services":["shop"],"environments":["prod"],"dryRun":true}""",
            """POST /v1/kill {"services":["shop"],"dryRun":true}""",
        ]);
        (await lockstep.RunAsync("kill", "-s", "shop", "--yes")).ShouldBe(new(0, "ci (i1)\npay?[2J (i2)\n2 service tokens ended\nwhat they were given: lockstep audit exposure NAME\n", ""));
        (await lockstep.RunAsync("kill", "--issuer", "https://issuer.example", "--subject", "ann", "--yes", "--json")).ExitCode.ShouldBe(0);
        (await lockstep.RunAsync("kill", "--all", "-y")).ExitCode.ShouldBe(0);
        server.Requests.Skip(2).Select(r => $"{r} {r.Body}").ShouldBe([
            """POST /v1/kill {"services":["shop"]}""",
            """POST /v1/kill {"issuer":"https://issuer.example","subject":"ann"}""",
            """POST /v1/kill {"all":true}""",
        ]);
    }

    [Fact]
    public async Task A_kill_tells_what_they_were_given_and_that_tokens_of_issuers_are_not_listed()
    {
        const string Secret = """{"secret":"pay/db","version":3,"first":"2026-01-01T00:00:00Z","last":"2026-01-02T00:00:00Z","count":2}""";
        var exposure = $$"""{"items":[{{Secret}}],"truncated":true}""";
        await using var server = await FakeServer.StartAsync(context => FakeServer.Json(context, $$"""{"tokens":[],"issuedUntil":"2026-01-03T00:00:00Z","exposure":{{exposure}}}"""));
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("kill", "--all", "--yes")).ShouldBe(new(0, """
            0 service tokens ended
            tokens of issuers in scope that were issued until 2026-01-03 00:00:00Z are dead too; they are not listed: lockstep audit exposure SUBJECT@ISSUER
            they were given, and these should be changed:
              pay/db@3  last 2026-01-02 00:00:00Z
              and more: lockstep audit exposure NAME

            """, ""));
        exposure = """{"items":[]}""";
        (await lockstep.RunAsync("kill", "--all", "--yes")).Output.ShouldEndWith("\nthe service tokens were given no secrets\n");
        exposure = "null";
        (await lockstep.RunAsync("kill", "--issuer", "https://issuer.example", "--yes")).Output.ShouldEndWith("\nwhat they were given: lockstep audit exposure NAME\n");
    }

    [Fact]
    public async Task A_token_rolls_and_revokes_itself()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var (rolls, ends) = (await server.AsAsync("admin"), await server.AsAsync("viewer"));
        using var lockstep = new LockstepProcess();
        lockstep.Environment["LOCKSTEP_ADDR"] = server.Server.Address;
        lockstep.Environment["LOCKSTEP_TOKEN"] = rolls.Token;
        var rolled = await lockstep.RunAsync("token", "roll", rolls.Name, "--yes");
        rolled.ExitCode.ShouldBe(0, rolled.Error);
        (await rolls.GetAsync("/v1/whoami")).ShouldBe(401);
        (await new TestCaller(server, rolled.Output.Trim()).GetAsync("/v1/whoami")).Ok();
        lockstep.Environment["LOCKSTEP_TOKEN"] = ends.Token;
        var revoked = await lockstep.RunAsync("token", "revoke", ends.Name, "--yes");
        revoked.ExitCode.ShouldBe(0, revoked.Error);
        (await ends.GetAsync("/v1/whoami")).ShouldBe(401);
    }
}
