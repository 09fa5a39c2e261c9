using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class RoleTests : IAsyncLifetime
{
    private static readonly string[] s_reads = ["config:read"];
    private static readonly string[] s_reveals = ["config:read", "secret:reveal"];

    private readonly TestRepository _repository = TestRepository.With(("shop.yml", "plain: 1\npassword: ${secret:shop/db}\n"), ("other.yml", "a: 1\n"));
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _server = await TestServer.StartAsync(_repository, o => o with { Roles = [new RoleOptions { Name = "ours", Permissions = ["config:read"] }] });
        (await _server.PutAsync("shop/db", "db-value")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task A_role_is_made_shown_listed_changed_and_deleted_and_each_is_on_the_record()
    {
        var made = (await PutAsync("team", new { permissions = s_reads, services = new[] { "shop" } })).Ok().Json;
        made.GetProperty("source").GetString().ShouldBe("database");
        made.GetProperty("updatedBy").GetString().ShouldBe(_server.Admin.Name);
        made.GetProperty("paths").GetArrayLength().ShouldBe(0, "it is limited to services");
        var shown = (await _server.Admin.GetAsync("/v1/roles/team")).Ok().Json;
        shown.GetProperty("services").ToString().ShouldBe("""["shop"]""");
        shown.GetProperty("secrets").ToString().ShouldBe("""["**"]""");
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        var all = (await _server.Admin.GetAsync("/v1/roles")).Ok().Json.GetProperty("items").EnumerateArray()
            .Select(r => $"{r.GetProperty("name").GetString()} {r.GetProperty("source").GetString()}");
        all.ShouldBe(["admin built-in", "ours settings", "reader built-in", "team database", "viewer built-in", "writer built-in"]);
        (await _server.Admin.DeleteAsync("/v1/roles/team")).Status.ShouldBe(204);
        (await _server.Admin.GetAsync("/v1/roles/team")).ShouldBe(404, "not-found");
        var entries = await _server.QueryAsync("SELECT entry FROM audit WHERE entry LIKE '%\"role.%' ORDER BY seq");
        entries.Count.ShouldBe(3);
        entries[0].ShouldContain("role.set");
        entries[0].ShouldContain("permissions config:read; services shop");
        entries[2].ShouldContain("role.delete");
        (await _server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Names_of_the_program_and_the_settings_are_not_taken_and_nonsense_is_named()
    {
        foreach (var name in new[] { "admin", "reader", "ours" })
        {
            (await PutAsync(name, new { permissions = s_reads })).ShouldBe(409, "conflict");
            (await _server.Admin.DeleteAsync("/v1/roles/" + name)).ShouldBe(409, "conflict");
        }
        (await PutAsync("ours", new { permissions = s_reads })).Detail.ShouldContain("access.roles");
        (await PutAsync("Bad", new { permissions = s_reads })).ShouldBe(400, "bad-request");
        (await PutAsync("x", new { permissions = Array.Empty<string>() })).ShouldBe(400).Detail.ShouldContain("permissions: ");
        (await PutAsync("x", new { permissions = new[] { "config:raed" } })).ShouldBe(400).Detail.ShouldContain("config:raed");
        (await PutAsync("x", new { permissions = s_reads, cidrs = new[] { "10.0.0.1/8" }, services = new[] { "" } })).ShouldBe(400).Detail.ShouldSatisfyAllConditions(d => d.ShouldContain("cidrs: "), d => d.ShouldContain("services: "));
        (await PutAsync("x", new { permissions = s_reads, more = 1 })).ShouldBe(400);
        (await _server.Admin.GetAsync("/v1/roles/x")).ShouldBe(404);
    }

    [Fact]
    public async Task Nobody_makes_or_changes_a_role_of_more_than_they_hold()
    {
        var here = await _server.AsAsync("admin", t => t with { Cidrs = ["127.0.0.0/8", "::1/128"] });
        (await here.PutAsync("/v1/roles/x", new { permissions = s_reads })).ShouldBe(403, "forbidden").Detail.ShouldContain("cidrs");
        (await here.PutAsync("/v1/roles/x", new { permissions = s_reads, cidrs = new[] { "127.0.0.0/8" } })).Ok();
        (await PutAsync("x", new { permissions = s_reads })).Ok();
        (await here.PutAsync("/v1/roles/x", new { permissions = s_reads, cidrs = new[] { "127.0.0.0/8" } })).ShouldBe(403, "forbidden").Detail.ShouldContain("as it is");
        (await here.DeleteAsync("/v1/roles/x")).ShouldBe(403, "forbidden");
        (await (await _server.AsAsync("admin", t => t with { Services = ["shop"] })).PutAsync("/v1/roles/y", new { permissions = s_reads, services = new[] { "shop" } })).ShouldBe(403, "forbidden");
    }

    [Fact]
    public async Task What_a_role_says_holds_for_requests_from_the_answer_on_and_after_a_restart()
    {
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        var mine = await _server.AsAsync("team");
        (await mine.ConfigAsync("shop/dev")).Ok().Secrets.ShouldBe(["password"]);
        (await PutAsync("team", new { permissions = s_reads })).Ok();
        (await mine.ConfigAsync("shop/dev")).Ok().Withheld.ShouldBe(["password"]);
        (await PutAsync("team", new { permissions = s_reveals, services = new[] { "other" } })).Ok();
        (await mine.ConfigAsync("shop/dev")).ShouldBe(403, "forbidden");
        (await mine.ConfigAsync("other/dev")).Ok();
        await _server.RestartAsync();
        (await mine.ConfigAsync("shop/dev")).ShouldBe(403, "forbidden");
        (await mine.ConfigAsync("other/dev")).Ok();
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        (await mine.ConfigAsync("shop/dev")).Ok().Secrets.ShouldBe(["password"]);
    }

    [Fact]
    public async Task A_role_that_tokens_have_is_deleted_only_by_force_and_leaves_them_nothing()
    {
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        var mine = await _server.AsAsync("team");
        (await _server.Admin.DeleteAsync("/v1/roles/team")).ShouldBe(409, "conflict").Detail.ShouldContain(mine.Name);
        (await mine.ConfigAsync("shop/dev")).Ok();
        (await _server.Admin.DeleteAsync("/v1/roles/team?force=true")).Status.ShouldBe(204);
        (await mine.ConfigAsync("shop/dev")).ShouldBe(403, "forbidden").Detail.ShouldContain("'team' does not exist");
        (await mine.GetAsync("/v1/whoami")).Ok();
        await _server.RestartAsync();
        (await mine.ConfigAsync("shop/dev")).ShouldBe(403, "forbidden");
        (await PutAsync("team", new { permissions = s_reads })).Ok();
        (await mine.ConfigAsync("shop/dev")).Ok().Withheld.ShouldBe(["password"]);
        (await _server.Admin.DeleteAsync("/v1/tokens/" + mine.Name)).Ok();
        (await _server.Admin.DeleteAsync("/v1/roles/team")).Status.ShouldBe(204, "a token that has ended needs no role");
    }

    [Fact]
    public async Task Who_watches_is_sent_away_and_comes_back_to_what_the_role_says_now()
    {
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        var (mine, other) = (await _server.AsAsync("team"), await _server.AsAsync("reader"));
        var child = (await mine.PostAsync("/v1/tokens/derive", new { })).Ok().Json.GetProperty("token").GetString();
        await using var alive = await WatchAsync(other.Token);
        foreach (var (permissions, password) in new[] { (s_reads, null), (s_reveals, "db-value"), (s_reads, (string?)null) })
        {
            var watchers = new[] { await WatchAsync(mine.Token), await WatchAsync(child) };
            using var events = await EventsAsync(mine.Token!);
            (await PutAsync("team", new { permissions, environments = new[] { "*", password is null ? "x" : "y" } })).Ok();
            foreach (var watcher in watchers)
            {
                (await watcher.UntilOpAsync("goodbye")).GetProperty("reason").GetString().ShouldBe("what the token may do has changed");
                (await watcher.ClosedAsync()).ShouldBe(1012);
                await watcher.DisposeAsync();
            }
            (await events.ReadToEndAsync()).ShouldContain("goodbye");
            foreach (var token in new[] { mine.Token, child })
            {
                await using var back = await WatchAsync(token);
                back.Held[1]["password"].ShouldBe(password);
            }
        }
        // The same again is no change.
        await using var still = await WatchAsync(mine.Token);
        (await PutAsync("team", new { permissions = s_reads, environments = new[] { "*", "x" } })).Ok();
        (await still.IsQuietAsync()).ShouldBeTrue();
        (await alive.IsQuietAsync()).ShouldBeTrue("others stay");
    }

    [Fact]
    public async Task What_began_before_a_role_changed_neither_leaves_nor_writes_by_what_it_was()
    {
        (await PutAsync("team", new { permissions = new[] { "admin" } })).Ok();
        var mine = await _server.AsAsync("team");
        var (caller, _) = await _server.Gate.Authenticator.AuthenticateAsync(mine.Token, null, default);
        var call = new CallContext(caller!, null, null, null, "test");
        (await PutAsync("team", new { permissions = s_reads })).Ok();
        _server.Gate.Authenticator.IsCurrent(caller!).ShouldBeTrue("it is not dead");
        foreach (var late in new Func<Task>[]
        {
            () => _server.Gate.CreateTokenAsync(call, new NewToken("late", "admin"), default),
            () => _server.Gate.ReadConfigAsync(call, new("shop", "dev", null), null, null, default).AsTask(),
            () => _server.Gate.KillAsync(call, new KillScope(), default),
        })
        {
            var error = await Should.ThrowAsync<LockstepException>(late);
            error.Code.ShouldBe(ErrorCode.Unavailable);
            error.Message.ShouldContain("has changed while this was under way");
        }
        (await _server.Admin.GetAsync("/v1/tokens")).Ok().Text.ShouldNotContain("\"late\"");
        (await mine.ConfigAsync("shop/dev")).Ok();
    }

    [Fact]
    public async Task Of_many_writers_the_last_committed_one_is_in_effect()
    {
        var random = new Random(5);
        await Task.WhenAll(Enumerable.Range(0, 40).Select(i => PutAsync("team" + (i % 2), new { permissions = s_reads, services = new[] { "s" + random.Next(1000) } })));
        var before = (await _server.Admin.GetAsync("/v1/roles")).Ok().Text;
        (await _server.Admin.GetAsync("/v1/roles/team0")).Ok();
        await _server.RestartAsync();
        (await _server.Admin.GetAsync("/v1/roles")).Ok().Text.ShouldBe(before);
    }

    [Fact]
    public async Task After_a_write_of_which_nobody_knows_what_became_the_database_says_what_holds()
    {
        var mine = await _server.AsAsync("reader");
        (await PutAsync("team", new { permissions = s_reveals })).Ok();
        var theirs = await _server.AsAsync("team");
        await using var watcher = await WatchAsync(mine.Token);
        // Committed, and its answer was lost.
        await _server.ExecuteAsync($"UPDATE tokens SET revoked_at = 1 WHERE name = '{mine.Name}'");
        await _server.ExecuteAsync("UPDATE roles SET permissions = '[\"config:read\"]' WHERE name = 'team'");
        (await mine.ConfigAsync("shop/dev")).Ok();
        await _server.ExecuteAsync("PRAGMA max_page_count = 1");
        var large = Enumerable.Range(0, 60).Select(i => new string((char)('a' + (i % 26)), 200) + i).ToArray();
        (await PutAsync("large", new { permissions = s_reads, services = large, environments = large, secrets = large })).ShouldBe(503, "unavailable");
        (await watcher.ClosedAsync()).ShouldBe(4401);
        (await mine.ConfigAsync("shop/dev")).ShouldBe(401, "unauthenticated");
        await _server.ExecuteAsync("PRAGMA max_page_count = 1000000");
        (await theirs.ConfigAsync("shop/dev")).Ok().Withheld.ShouldBe(["password"]);
        (await _server.Admin.GetAsync("/v1/roles/large")).ShouldBe(404);
    }

    private Task<Answer> PutAsync(string name, object role) => _server.Admin.PutAsync("/v1/roles/" + name, role);

    private async Task<TestWatcher> WatchAsync(string? token)
    {
        var watcher = await TestWatcher.ConnectAsync(_server, token);
        (await watcher.SubscribeAsync(1, "shop/dev")).GetProperty("op").GetString().ShouldBe("snapshot");
        return watcher;
    }

    private async Task<StreamReader> EventsAsync(string token)
    {
        var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Authorization", "Bearer " + token);
        http.DefaultRequestHeaders.Add("Accept", "text/event-stream");
        return new StreamReader(await http.GetStreamAsync(new Uri($"{_server.Server.Address}/v1/watch?service=shop&env=dev")));
    }
}
