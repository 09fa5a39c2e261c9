using System.Text.Json;
using Lockstep.Config;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

[Trait("speed", "medium")]
public sealed class PlanTests
{
    private static readonly string[] s_color = ["color"];

    [Fact]
    public async Task A_plan_tells_which_documents_change_in_which_keys_and_whom_it_concerns_and_changes_nothing()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token, "pod-1");
        await watcher.SubscribeAsync(1, "shop/dev");
        var (release, refs) = (server.Release, repository.Git("for-each-ref"));

        var plan = await PlanAsync(server.Admin, new { files = new Dictionary<string, string?> { ["shop.yml"] = "color: blue\nport: 80\n" } });
        plan.GetProperty("valid").GetBoolean().ShouldBeTrue();
        plan.GetProperty("release").GetInt64().ShouldBe(release);
        plan.GetProperty("commit").GetString().ShouldBe(repository.Head);
        var document = plan.GetProperty("documents").EnumerateArray().ShouldHaveSingleItem();
        Show(document).ShouldBe("shop/dev changes");
        document.GetProperty("label").GetString().ShouldBe("main");
        document.GetProperty("keys").EnumerateArray().Select(k => k.GetString()).ShouldBe(s_color);
        document.GetProperty("instances").GetInt32().ShouldBe(1);

        // A file that is not there yet, and one that goes, change documents too.
        var both = await PlanAsync(server.Admin, new { files = new Dictionary<string, string?> { ["shop-dev.yml"] = "extra: 1", ["cart.yml"] = "", ["application.yml"] = null } });
        Documents(both).ShouldBe(["cart/dev changes", "shop/dev changes"]);
        (await PlanAsync(server.Admin, new { })).GetProperty("documents").GetArrayLength().ShouldBe(0);

        server.Release.ShouldBe(release);
        repository.Git("for-each-ref").ShouldBe(refs);
        await watcher.IsQuietAsync();
        Directory.GetDirectories(server.Server.Repository.Directory, "lockstep-objects-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task What_would_break_or_does_not_parse_is_told_with_file_line_and_key()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var plan = await PlanAsync(server.Admin, new
        {
            files = new Dictionary<string, string?>
            {
                ["shop.yml"] = "color: red\nport: 80\na: ${b}\nb: ${a}\n",
                ["unused.yml"] = "a: 1\na: 2\n",
            },
        });
        plan.GetProperty("valid").GetBoolean().ShouldBeFalse();
        Documents(plan).ShouldBe(["shop/dev breaks"]);
        var error = plan.GetProperty("documents")[0].GetProperty("errors")[0];
        error.GetProperty("file").GetString().ShouldBe("shop.yml");
        error.GetProperty("line").GetInt32().ShouldBe(3);
        error.GetProperty("key").GetString().ShouldBe("a");
        var unused = plan.GetProperty("errors").EnumerateArray().ShouldHaveSingleItem();
        unused.GetProperty("file").GetString().ShouldBe("unused.yml");
        unused.GetProperty("line").GetInt32().ShouldBe(2);
    }

    [Fact]
    public async Task Secrets_can_be_planned_too_and_together_with_files()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        (await server.PutAsync("db", """{"user":"a","password":"b"}""")).Ok();
        (await server.Admin.PutAsync("/v1/secrets/db?activate=false", new { value = """{"user":"a"}""" })).Ok();
        repository.Commit(("shop.yml", "color: red\nport: 80\npassword: ${secret:db#password}\n"));
        await server.RefreshAsync();

        var alone = await PlanAsync(server.Admin, new { secrets = new { db = 2 } });
        Documents(alone).ShouldBe(["shop/dev breaks"]);
        alone.GetProperty("valid").GetBoolean().ShouldBeFalse();
        var together = await PlanAsync(server.Admin, new { secrets = new { db = 2 }, files = new Dictionary<string, string?> { ["shop.yml"] = "color: red\nport: 80\npassword: ${secret:db#user}\n" } });
        Documents(together).ShouldBe(["shop/dev changes"]);
        together.GetRawText().ShouldNotContain("\"b\"");
        (await server.Admin.PostAsync("/v1/plan", new { secrets = new { db = 9 } })).ShouldBe(404, "not-found");
        (await server.Admin.PostAsync("/v1/plan", new { secrets = new { nothing = 1 } })).ShouldBe(404, "not-found");
    }

    [Fact]
    public async Task A_caller_is_told_of_its_own_documents_and_learns_nothing_of_others_secrets()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        (await server.PutAsync("theirs", "hunter2")).Ok();
        var cart = await server.AsAsync("viewer", t => t with { Services = ["cart"] });
        var plan = await PlanAsync(cart, new { files = new Dictionary<string, string?> { ["application.yml"] = "shared: 2\n" } });
        Documents(plan).ShouldBe(["cart/dev changes"]);
        plan.GetProperty("others").GetInt32().ShouldBe(1);

        // Whether it exists, and which fields it has, would show in what the plan finds.
        foreach (var reference in new[] { "${secret:theirs}", "${secret:theirs#field}", "${secret:not/there}" })
        {
            var answer = (await cart.PostAsync("/v1/plan", new { files = new Dictionary<string, string?> { ["cart.yml"] = $"a: {reference}\n" } })).ShouldBe(403, "forbidden");
            answer.Detail.ShouldContain("secret:read");
        }
        (await cart.PostAsync("/v1/plan", new { secrets = new { theirs = 1 } })).ShouldBe(403, "forbidden");
        var denied = (await server.Admin.GetAsync("/v1/audit?action=config.plan")).Ok().Json.GetProperty("items").EnumerateArray();
        denied.Count(e => e.GetProperty("decision").GetString() == "denied").ShouldBe(4);
        (await server.Nobody.PostAsync("/v1/plan", new { })).ShouldBe(401);
    }

    [Fact]
    public async Task A_guess_in_the_place_of_a_secret_looks_the_same_right_or_wrong()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        (await server.PutAsync("theirs", "4711")).Ok();
        (await server.PutAsync("doc", """{"one":"x","two":"y"}""")).Ok();
        repository.Commit(("cart.yml", "a: ${secret:theirs}\nalso: ${secret:theirs}\nb: ${secret:doc#one}\nn: 1\n"));
        await server.RefreshAsync();
        var viewer = await server.AsAsync("viewer");

        // A secret of one's own can be given any value, and its key stays one of those that hold a secret.
        var guesser = await server.AsAsync("writer", t => t with { Services = ["cart"], Secrets = ["own/*"] });
        (await server.PutAsync("own/right", "4711")).Ok();
        (await server.PutAsync("own/wrong", "4712")).Ok();
        var answers = new List<string>();
        foreach (var guess in new[] { "right", "wrong" })
        {
            var plan = await PlanAsync(guesser, new { files = new Dictionary<string, string?> { ["cart.yml"] = $"a: ${{secret:own/{guess}}}\nalso: ${{secret:theirs}}\nb: ${{secret:doc#one}}\nn: 1\n" } });
            answers.Add(string.Join(',', Documents(plan)) + plan.GetProperty("documents")[0].GetProperty("keys").GetRawText());
        }
        answers.ShouldAllBe(a => a == "cart/dev changes[\"a\"]");

        // A secret that stands there already may stand elsewhere too, but does not tell whether it is a number.
        var moved = await PlanAsync(viewer, new { files = new Dictionary<string, string?> { ["cart.yml"] = "a: ${secret:theirs}\nalso: ${secret:theirs}\nb: ${secret:doc#one}\nn: ${secret:theirs}\n" } });
        moved.GetProperty("documents")[0].GetProperty("keys").EnumerateArray().ShouldHaveSingleItem().GetString().ShouldBe("n");
        moved.GetProperty("documents")[0].GetProperty("warnings").GetArrayLength().ShouldBe(0);
        foreach (var field in new[] { "${secret:doc#two}", "${secret:doc#nothing}", "${secret:doc}", "${secret:doc#one@1}", "${secret:doc#one@9}" })
        {
            (await viewer.PostAsync("/v1/plan", new { files = new Dictionary<string, string?> { ["cart.yml"] = $"a: ${{secret:theirs}}\nalso: ${{secret:theirs}}\nb: ${{secret:doc#one}}\nn: {field}\n" } }))
                .ShouldBe(403, "forbidden").Detail.ShouldContain("secret:read");
        }
    }

    [Fact]
    public async Task A_document_at_the_limit_of_its_length_does_not_tell_how_long_its_secrets_are()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        (await server.PutAsync("theirs", "hunter2")).Ok();
        repository.Commit(("cart.yml", "a: ${secret:theirs}\n"));
        await server.RefreshAsync();
        var viewer = await server.AsAsync("viewer");
        // With the secret it would be just over the limit, and just below.
        foreach (var left in new[] { "hunter2".Length - 1, "hunter2".Length })
        {
            var part = ConfigLimits.CharactersPerDocument / 32;
            var copies = string.Concat(Enumerable.Range(0, 30).Select(i => $"k{i}: ${{part}}\n"));
            var text = $"a: ${{secret:theirs}}\npart: {new string('x', part)}\n{copies}rest: {new string('x', part - left)}\n";
            var plan = await PlanAsync(viewer, new { files = new Dictionary<string, string?> { ["cart.yml"] = text, ["application.yml"] = "" } });
            plan.GetProperty("valid").GetBoolean().ShouldBeTrue(plan.GetRawText());
        }
    }

    [Fact]
    public async Task When_too_many_are_worked_out_a_plan_is_told_to_come_back_and_writes_go_on()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var first = await server.Gate.Candidates.PlanSlotAsync(default);
        using (await server.Gate.Candidates.PlanSlotAsync(default))
        {
            var refused = (await server.Admin.PostAsync("/v1/plan", new { files = new Dictionary<string, string> { ["a.yml"] = "x: 1\n" } })).ShouldBe(503, "unavailable");
            refused.Header("Retry-After").ShouldNotBeNullOrEmpty();
            Directory.GetDirectories(server.Server.Repository.Directory, "lockstep-objects-*").ShouldBeEmpty();
            (await server.Admin.SendAsync("PUT", "/v1/files/a.yml", "x: 1\n", ("If-None-Match", "*"))).Ok();
        }
        await PlanAsync(server.Admin, new { files = Enumerable.Range(0, 2_000).ToDictionary(i => $"many/{i}.yml", i => i % 5 == 0 ? null : $"x: {i}\n") });
        Directory.GetDirectories(server.Server.Repository.Directory, "lockstep-objects-*").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("""{"files":{"../x.yml":"a: 1"}}""")]
    [InlineData("""{"files":{".git/config":"a: 1"}}""")]
    [InlineData("""{"files":{"/x.yml":"a: 1"}}""")]
    [InlineData("""{"files":{"a.yml":"x","a.yml/b.yml":"y"}}""")]
    [InlineData("""{"files":{"a.yml":1}}""")]
    [InlineData("""{"files":[]}""")]
    [InlineData("""{"secrets":{"db":"1"}}""")]
    [InlineData("""{"secrets":{"../db":1}}""")]
    [InlineData("""{"file":{}}""")]
    public async Task What_is_no_change_is_refused(string body)
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        (await server.Admin.PostAsync("/v1/plan", body)).ShouldBe(400, "bad-request");
    }

    private static TestRepository Repository() => TestRepository.With(("application.yml", "shared: 1\n"), ("shop.yml", "color: red\nport: 80\n"), ("cart.yml", "size: 3\n"));

    private static async Task<TestServer> StartAsync(TestRepository repository)
    {
        var server = await TestServer.StartAsync(repository);
        foreach (var document in new[] { "shop/dev", "cart/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        return server;
    }

    private static async Task<JsonElement> PlanAsync(TestCaller caller, object change) => (await caller.PostAsync("/v1/plan", change)).Ok().Json;

    private static string[] Documents(JsonElement plan) => [.. plan.GetProperty("documents").EnumerateArray().Select(Show)];

    private static string Show(JsonElement d) => $"{d.GetProperty("service").GetString()}/{d.GetProperty("environment").GetString()} {d.GetProperty("outcome").GetString()}";
}
