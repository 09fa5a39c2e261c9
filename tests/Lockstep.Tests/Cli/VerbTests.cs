using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Tests.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

[Trait("speed", "medium")]
public sealed class VerbTests
{
    private const string Written = """{"id":"payments/db","version":4,"release":9}""";

    [Fact]
    public async Task Config_get_prints_a_table_one_key_or_the_document()
    {
        await using var server = await FakeServer.StartAsync(FakeServer.Snapshot("""{"a.long.key":"x","b":5432}""", withheld: """["c"]"""));
        using var lockstep = LockstepProcess.For(server);
        var table = await lockstep.RunAsync("config", "get", "-s", "payments", "-e", "production");
        table.Output.ShouldBe("KEY         VALUE\na.long.key  x\nb           5432\n");
        table.Error.ShouldContain("withheld from this token: c");
        (await lockstep.RunAsync("config", "get", "b", "-s", "payments", "-e", "production")).Output.ShouldBe("5432\n");
        (await lockstep.RunAsync("config", "get", "c", "-s", "payments", "-e", "production")).ExitCode.ShouldBe(4);
        (await lockstep.RunAsync("config", "get", "d", "-s", "payments", "-e", "production")).ExitCode.ShouldBe(3);
        var json = await lockstep.RunAsync("config", "get", "-s", "payments", "-e", "production", "--json");
        json.ShouldBe(new(0, FakeServer.Snapshot("""{"a.long.key":"x","b":5432}""", withheld: """["c"]""") + "\n", ""));
    }

    [Fact]
    public async Task A_secret_is_read_from_stdin_without_its_line_end_and_created_when_it_is_not_there()
    {
        await using var server = await FakeServer.StartAsync(async context =>
        {
            var create = context.Request.Method == "PUT" && Interlocked.Increment(ref s_calls) == 2;
            if (create) await FakeServer.Json(context, Written);
            else await FakeServer.Problem(context, "not-found", 404, "there is no secret payments/db");
        });
        s_calls = 0;
        using var lockstep = LockstepProcess.For(server);
        var ended = await lockstep.RunWithInputAsync("hunter2\n", "secret", "set", "payments/db");
        ended.ShouldBe(new(0, "payments/db version 4, active from release 9\n", ""));
        server.Requests.Select(r => r.Body).ShouldBe(["""{"value":"hunter2"}""", """{"value":"hunter2","cas":0}"""]);
    }

    private static int s_calls;

    [Fact]
    public async Task A_secret_in_the_arguments_works_with_a_warning_that_does_not_repeat_it()
    {
        await using var server = await FakeServer.StartAsync(Written);
        using var lockstep = LockstepProcess.For(server);
        var ended = await lockstep.RunAsync("secret", "set", "payments/db", "hunter2", "--stage", "--json");
        ended.ExitCode.ShouldBe(0);
        ended.Output.ShouldBe(Written + "\n");
        ended.Error.ShouldContain("prefer stdin");
        ended.Error.ShouldNotContain("hunter2");
        server.Requests.Single().ToString().ShouldBe("PUT /v1/secrets/payments/db?activate=false");
    }

    [Fact]
    public async Task Secret_get_prints_the_value_and_nothing_else()
    {
        await using var server = await FakeServer.StartAsync(context =>
        {
            var key = Jwe.ParsePublicKey(context.Request.Headers["Lockstep-Seal-To"].ToString());
            var text = JsonSerializer.Serialize(new { id = "payments/db", version = 3, value = """{"user":"app","port":5432}""" });
            return FakeServer.Json(context, $$"""{"id":"payments/db","value":"{{Jwe.Seal(key, Encoding.UTF8.GetBytes(text))}}"}""");
        });
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("secret", "get", "payments/db")).ShouldBe(new(0, """{"user":"app","port":5432}""", ""));
        (await lockstep.RunAsync("secret", "get", "payments/db", "--field", "port")).Output.ShouldBe("5432");
        (await lockstep.RunAsync("secret", "get", "payments/db", "--field", "user", "--json")).Output.ShouldBe("""{"id":"payments/db","version":3,"value":"app"}""" + "\n");
        (await lockstep.RunAsync("secret", "get", "payments/db", "--field", "none")).ExitCode.ShouldBe(3);
    }

    [Theory]
    [InlineData("secret", "rm", "payments/db")]
    [InlineData("token", "revoke", "ci")]
    [InlineData("token", "roll", "ci")]
    [InlineData("config", "rollback", "3", "-s", "a", "-e", "b")]
    [InlineData("config", "unpin", "-s", "a", "-e", "b")]
    public async Task What_destroys_does_nothing_where_nobody_can_be_asked(params string[] verb)
    {
        await using var server = await FakeServer.StartAsync("""{"id":"i","name":"ci","token":"lks_new","release":4}""");
        using var lockstep = LockstepProcess.For(server);
        var asked = await lockstep.RunWithInputAsync("y\n", verb);
        asked.ExitCode.ShouldBe(2);
        asked.Error.ShouldContain("--yes");
        server.Requests.ShouldBeEmpty();
        (await lockstep.RunAsync([.. verb, "--yes"])).ExitCode.ShouldBe(0);
        server.Requests.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_new_token_is_the_only_output_or_goes_to_a_file_of_the_owner()
    {
        await using var server = await FakeServer.StartAsync("""{"id":"i","name":"ci","token":"lks_new","expiresAt":null}""");
        using var lockstep = LockstepProcess.For(server);
        var printed = await lockstep.RunAsync("token", "create", "ci", "--role", "reader", "-s", "a", "-s", "b", "--expires-in", "90d");
        printed.Output.ShouldBe("lks_new\n");
        server.Requests.Single().Body.ShouldBe("""{"name":"ci","role":"reader","services":["a","b"],"expiresIn":"2160h"}""");
        var file = Path.Combine(lockstep.Directory, "ci.token");
        var kept = await lockstep.RunAsync("token", "create", "ci", "--role", "reader", "--out", file);
        kept.ExitCode.ShouldBe(0);
        (kept.Output + kept.Error).ShouldNotContain("lks_new");
        File.ReadAllText(file).ShouldBe("lks_new\n");
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        (await lockstep.RunAsync("token", "create", "ci", "--role", "reader", "--out", file)).ExitCode.ShouldBe(2);
        server.Requests.Count.ShouldBe(2, "a token that can't be written down is not made");
    }

    [Fact]
    public async Task An_import_checks_all_before_it_writes_the_first()
    {
        await using var server = await FakeServer.StartAsync(Written);
        using var lockstep = LockstepProcess.For(server);
        lockstep.WriteFile("bad.env", "GOOD=hunter2\nBAD NAME=hunter3\n");
        var refused = await lockstep.RunAsync("secret", "import", "bad.env", "--prefix", "app/");
        refused.ExitCode.ShouldBe(2);
        refused.Error.ShouldNotContain("hunter");
        server.Requests.ShouldBeEmpty();
        lockstep.WriteFile("good.yaml", "key: hunter2\ndb:\n  user: app\n  port: 5432\n");
        (await lockstep.RunAsync("secret", "import", "good.yaml", "--prefix", "app/", "--dry-run")).Output.ShouldBe("app/key\napp/db\n");
        server.Requests.ShouldBeEmpty();
        (await lockstep.RunAsync("secret", "import", "good.yaml", "--prefix", "app/", "--json")).Output.ShouldBe($$"""{"items":[{{Written}},{{Written}}]}""" + "\n");
        server.Requests.Select(r => $"{r} {r.Body}").ShouldBe([
            """PUT /v1/secrets/app/key {"value":"hunter2"}""",
            """PUT /v1/secrets/app/db {"value":"{\u0022user\u0022:\u0022app\u0022,\u0022port\u0022:5432}"}""",
        ]);
    }

    [Fact]
    public async Task Audit_tail_is_oldest_first_and_verify_fails_when_the_chain_does()
    {
        const string Entry = """{"node":"n","seq":2,"at":"2026-01-01T00:00:01Z","action":"secret.read","decision":"denied","actor":"ci","subject":"payments/db\u001b[2J"}""";
        await using var server = await FakeServer.StartAsync(context => context.Request.Path == "/v1/audit"
            ? FakeServer.Json(context, $$"""{"items":[{{Entry}},{{Entry.Replace("\"seq\":2", "\"seq\":1").Replace(":01Z", ":00Z")}}],"next":null}""")
            : FakeServer.Json(context, """{"valid":false,"firstBad":{"node":"n","seq":2,"reason":"edited"}}"""));
        using var lockstep = LockstepProcess.For(server);
        var tail = await lockstep.RunAsync("audit", "tail");
        tail.Error.ShouldBeEmpty();
        var lines = tail.Output.TrimEnd().Split('\n');
        lines.Length.ShouldBe(2);
        lines[0].ShouldStartWith("2026-01-01 00:00:00Z  denied");
        lines[0].ShouldNotContain("\u001b");
        (await lockstep.RunAsync("audit", "tail", "--json")).Output.TrimEnd().Split('\n').ShouldAllBe(l => l.StartsWith("{\"node\":\"n\""));
        var verify = await lockstep.RunAsync("audit", "verify");
        (verify.ExitCode, verify.Output).ShouldBe((1, "NOT valid: entry 2 of node n: edited\n"));
    }

    [Theory]
    [InlineData("config:read", "payments/production", "permission=config%3Aread&service=payments&environment=production")]
    [InlineData("secret:reveal", "payments/db", "permission=secret%3Areveal&secret=payments%2Fdb")]
    [InlineData("admin", null, "permission=admin")]
    public async Task Can_answers_by_its_exit_status(string permission, string? subject, string query)
    {
        await using var server = await FakeServer.StartAsync("""{"allowed":false,"reason":"the role reader does not have it"}""");
        using var lockstep = LockstepProcess.For(server);
        var ended = await lockstep.RunAsync(subject is null ? ["can", permission] : ["can", permission, subject]);
        ended.ShouldBe(new(4, "no: the role reader does not have it\n", ""));
        server.Requests.Single().Target.ShouldBe("/v1/can?" + query);
    }

    [Fact]
    public async Task A_diff_to_the_newest_release_leaves_it_to_the_server_which_that_is()
    {
        await using var server = await FakeServer.StartAsync("""{"from":3,"to":9,"added":["a"],"removed":["r"],"changed":[{"key":"k","from":1,"to":"two"}]}""");
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("config", "diff", "3", "-s", "s", "-e", "e")).ShouldBe(new(0, "+ a\n- r\n~ k: 1 -> two\n", ""));
        server.Requests.Last().Target.ShouldBe("/v1/config/s/e/diff?from=3");
    }

    [Fact]
    public async Task A_release_is_shown_with_what_it_changed_for_whom()
    {
        const string Head = "\"release\":4,\"at\":\"2026-01-01T00:00:00Z\",\"by\":\"ann\",\"kind\":\"git\",\"message\":\"why\",\"commit\":null,\"keys\":[\"a\",\"b\"]";
        const string Two = """{"service":"s","environment":"e","label":"main","keys":["a","b"],"valid":true},{"service":"t","environment":"e","label":"main","keys":[],"valid":false,"reason":"t.yml:3: bad\u001b[2J"}""";
        await using var server = await FakeServer.StartAsync(context => FakeServer.Json(context, context.Request.Path == "/v1/releases/4"
            ? $$"""{{{Head}},"documentCount":9,"documents":[{{Two}}]}"""
            : $$"""{"items":[{{{Head}},"documents":[{"service":"s","environment":"e","label":"main","keys":["a","b","c","d","e","f","g"],"valid":true}]},{{{Head}},"documents":[{{Two[(Two.IndexOf("},{", StringComparison.Ordinal) + 2)..]}}]}],"next":null}"""));
        using var lockstep = LockstepProcess.For(server);
        (await lockstep.RunAsync("release", "show", "4")).ShouldBe(new(0, """
            release  4
            at       2026-01-01 00:00:00Z
            by       ann
            kind     git
            commit   -
            message  why
            changes  s/e@main: a, b
            changes  t/e@main: invalid: t.yml:3: bad?[2J
                     and 7 more documents

            """, ""));
        var history = (await lockstep.RunAsync("config", "history", "-s", "s", "-e", "e", "--label", "feature(_)x")).Output.TrimEnd().Split('\n');
        history[0].ShouldEndWith("  MESSAGE  CHANGES");
        history[1].ShouldEndWith("  why      a, b, c, d, e and 2 more");
        history[2].ShouldEndWith("  why      invalid: t.yml:3: bad?[2J");
        server.Requests.Last().Target.ShouldStartWith("/v1/config/s/e/history?label=feature");
    }
}
