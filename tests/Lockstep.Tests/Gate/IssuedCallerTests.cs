using System.Text.Json;
using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

/// <summary>Callers with a token of an issuer, through the whole server.</summary>
[Trait("speed", "medium")]
public sealed class IssuedCallerTests : IAsyncLifetime
{
    private static readonly string[] s_both = ["pay", "ord"];

    private readonly ManualTime _time = new(timers: true);
    private readonly TestRepository _repository = TestRepository.With(("pay.yml", "password: ${secret:pay/db}\n"), ("ord.yml", "a: 1\n"));
    private TestIssuer _issuer = null!;
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _issuer = await TestIssuer.StartAsync();
        _server = await TestServer.StartAsync(_repository, o => o with
        {
            Issuers = [_issuer.Options(new("groups", "boss", "admin"), new("groups", "pay", "payments"), new("groups", "ord", "orders"), new("groups", "net", "elsewhere"), new("groups", "none", "nowhere"), new("groups", "aud", "auditor"))],
            Roles =
            [
                new RoleOptions { Name = "orders", Permissions = ["config:read"], Services = ["ord"] },
                new RoleOptions { Name = "elsewhere", Permissions = ["config:read"], Services = ["pay"], Cidrs = ["192.0.2.0/24"] },
            ],
        }, _time);
        (await _server.Admin.PutAsync("/v1/roles/payments", new { permissions = new[] { "config:read", "secret:reveal" }, services = new[] { "pay" } })).Ok();
        (await _server.PutAsync("pay/db", "db-value")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        await _issuer.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task It_may_what_one_of_its_roles_may_and_is_told_which_rule_gave_it()
    {
        var both = With(("groups", s_both));
        (await both.ConfigAsync("pay/dev")).Ok().Value("password").ShouldBe("db-value");
        (await both.ConfigAsync("ord/dev")).Ok();
        (await With(("groups", "ord")).ConfigAsync("pay/dev")).ShouldBe(403, "forbidden").Detail.ShouldContain("'orders'");
        var me = (await both.GetAsync("/v1/whoami")).Ok().Json;
        me.GetProperty("name").GetString().ShouldBe(NameOf("somebody"));
        me.GetProperty("id").GetString()!.ShouldStartWith("jwt_");
        me.GetProperty("issuer").GetString().ShouldBe(_issuer.Url);
        me.GetProperty("expiresAt").GetDateTimeOffset().ShouldBe(_time.GetUtcNow().AddSeconds(630), "with the leeway for clocks");
        me.GetProperty("roles").EnumerateArray().Select(r => $"{r.GetProperty("role").GetString()}: {r.GetProperty("rule").GetString()}")
            .ShouldBe(["payments: access.issuers[0].roles[1] (groups: pay)", "orders: access.issuers[0].roles[2] (groups: ord)"]);
        var can = (await both.GetAsync("/v1/can?permission=config:read&service=ord&environment=dev")).Ok().Json;
        can.GetProperty("allowed").GetBoolean().ShouldBeTrue();
        can.GetProperty("reason").GetString()!.ShouldContain("access.issuers[0].roles[2]");
        (await both.GetAsync("/v1/can?permission=config:write&service=ord&environment=dev")).Ok().Json.GetProperty("allowed").GetBoolean().ShouldBeFalse();
        (await both.PostAsync("/v1/tokens/derive", new { })).ShouldBe(400, "bad-request");
        (await both.PostAsync("/v1/tokens/renew", new { })).ShouldBe(409, "conflict");
    }

    [Fact]
    public async Task The_record_says_who_it_was()
    {
        var mine = With(("groups", "pay"));
        var id = (await mine.GetAsync("/v1/whoami")).Ok().Json.GetProperty("id").GetString();
        (await mine.ConfigAsync("pay/dev")).Ok();
        (await mine.ConfigAsync("ord/dev")).ShouldBe(403);
        var entries = (await _server.Admin.GetAsync("/v1/audit")).Ok().Json.GetProperty("items").EnumerateArray().Where(e => e.GetProperty("actor").GetString() == NameOf("somebody")).ToList();
        entries.Select(e => e.GetProperty("decision").GetString()).ShouldBe(["denied", "allowed"]);
        entries.ShouldAllBe(e => e.GetProperty("tokenId").GetString() == id);
        entries[1].GetProperty("secrets").ToString().ShouldBe("""["pay/db@1"]""");
        (await With(("groups", "pay"), ("jti", "another")).GetAsync("/v1/whoami")).Ok().Json.GetProperty("id").GetString().ShouldBe(id, "one subject");
        (await With(("groups", "pay"), ("sub", "else")).GetAsync("/v1/whoami")).Ok().Json.GetProperty("id").GetString().ShouldNotBe(id);
    }

    [Fact]
    public async Task Without_a_role_or_from_elsewhere_it_is_a_failed_authentication_with_its_reason_on_the_record()
    {
        (await With(("groups", "unknown")).GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        (await With(("groups", "none")).GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        (await With().GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        (await With(("groups", "net")).GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        (await With(("groups", "pay"), ("aud", "else")).GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        // Of several roles, one that holds only elsewhere is as if it were not there.
        (await With(("groups", new[] { "ord", "net" })).ConfigAsync("ord/dev")).Ok();
        (await With(("groups", new[] { "ord", "net" })).ConfigAsync("pay/dev")).ShouldBe(403, "forbidden");
        _time.Advance(TimeSpan.FromMinutes(3));
        await Poll.UntilAsync(async () => (await FailuresAsync()).Count >= 3, "they are on the record");
        (await FailuresAsync()).Select(e => $"{e.GetProperty("detail").GetString()} {(e.TryGetProperty("count", out var n) ? n.GetInt32() : 1)}").Order(StringComparer.Ordinal)
            .ShouldBe(["address-not-allowed 1", "jwt-no-role 3", "jwt-wrong-audience 1"]);

        async Task<List<JsonElement>> FailuresAsync() => [.. (await _server.Admin.GetAsync("/v1/audit?action=authentication.failed")).Ok().Json.GetProperty("items").EnumerateArray()];
    }

    [Fact]
    public async Task A_role_that_changes_changes_what_it_may_at_once_and_sends_its_watchers_away()
    {
        var mine = With(("groups", s_both));
        await using var watcher = await WatchAsync(mine);
        watcher.Held[1]["password"].ShouldBe("db-value");
        (await _server.Admin.PutAsync("/v1/roles/payments", new { permissions = new[] { "config:read" }, services = new[] { "pay" } })).Ok();
        (await watcher.ClosedAsync()).ShouldBe(1012);
        (await mine.ConfigAsync("pay/dev")).Ok().Withheld.ShouldBe(["password"]);
        await using var back = await WatchAsync(mine);
        back.Held[1]["password"].ShouldBeNull();
        (await _server.Admin.DeleteAsync("/v1/roles/payments?force=true")).Ok();
        (await back.ClosedAsync()).ShouldBe(1012);
        (await mine.ConfigAsync("pay/dev")).ShouldBe(403);
        (await mine.ConfigAsync("ord/dev")).Ok();
        (await With(("groups", "pay")).ConfigAsync("ord/dev")).ShouldBe(401);
    }

    [Fact]
    public async Task Its_watchers_end_with_it()
    {
        var mine = With(("groups", "pay"), ("exp", _time.GetUtcNow().ToUnixTimeSeconds() + 60));
        await using var watcher = await WatchAsync(mine);
        _time.Advance(TimeSpan.FromSeconds(85));
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        (await mine.GetAsync("/v1/whoami")).Ok();
        _time.Advance(TimeSpan.FromSeconds(6));
        (await watcher.ClosedAsync()).ShouldBe(4401);
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Theory]
    [InlineData("all")]
    [InlineData("issuer")]
    [InlineData("subject")]
    [InlineData("service")]
    public async Task A_kill_ends_what_was_issued_up_to_it_and_nothing_that_is_issued_later(string how)
    {
        object scope = how switch
        {
            "all" => new { all = true },
            "issuer" => new { issuer = _issuer.Url },
            "subject" => new { issuer = _issuer.Url, subject = "somebody" },
            _ => new { services = new[] { "pay" } },
        };
        var (mine, other, another) = (With(("groups", s_both)), With(("groups", "ord"), ("sub", "else")), await _server.AsAsync("reader"));
        var ahead = With(("groups", s_both), ("iat", _time.GetUtcNow().ToUnixTimeSeconds() + 30));
        await using var watcher = await WatchAsync(mine);
        (await ahead.GetAsync("/v1/whoami")).Ok();
        (await other.GetAsync("/v1/whoami")).Ok();
        (await _server.Admin.PostAsync("/v1/kill", scope)).Ok();
        (await watcher.ClosedAsync()).ShouldBe(4401);
        await IsDeadAsync();
        (await other.GetAsync("/v1/whoami")).Status.ShouldBe(how is "all" or "issuer" ? 401 : 200);
        (await another.GetAsync("/v1/whoami")).Status.ShouldBe(how is "issuer" or "subject" ? 200 : 401, "service tokens are of no issuer");
        await _server.RestartAsync();
        await IsDeadAsync();
        _time.Advance(TimeSpan.FromSeconds(29));
        (await With(("groups", s_both)).GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        _time.Advance(TimeSpan.FromSeconds(2));
        (await With(("groups", s_both)).ConfigAsync("pay/dev")).Ok();
        await IsDeadAsync();

        async Task IsDeadAsync()
        {
            (await mine.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
            (await ahead.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        }
    }

    [Fact]
    public async Task Who_was_killed_for_a_service_is_not_revived_by_a_role_that_no_longer_reaches_it_nor_by_another_address()
    {
        var mine = With(("groups", s_both));
        var partly = With(("groups", new[] { "ord", "net" }));
        (await mine.GetAsync("/v1/whoami")).Ok();
        (await partly.GetAsync("/v1/whoami")).Ok();
        (await _server.Admin.PostAsync("/v1/kill", new { services = new[] { "pay" } })).Ok();
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
        (await partly.GetAsync("/v1/whoami")).Status.ShouldBe(401, "from elsewhere it could be used for it");
        (await _server.Admin.PutAsync("/v1/roles/payments", new { permissions = new[] { "config:read" }, services = new[] { "ord" } })).Ok();
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
        (await _server.Admin.DeleteAsync("/v1/roles/payments?force=true")).Ok();
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
        await _server.RestartAsync();
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Fact]
    public async Task Who_kills_is_spared_and_a_try_kills_nobody()
    {
        var (boss, mine) = (With(("groups", "boss"), ("sub", "boss")), With(("groups", "pay")));
        (await boss.PostAsync("/v1/kill", new { issuer = _issuer.Url, dryRun = true })).Ok().Json.GetProperty("tokens").GetArrayLength().ShouldBe(0);
        (await mine.GetAsync("/v1/whoami")).Ok();
        (await boss.PostAsync("/v1/kill", new { all = true })).Ok();
        (await boss.GetAsync("/v1/whoami")).Ok();
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
        (await _server.Admin.GetAsync("/v1/whoami")).ShouldBe(401);
        (await boss.PostAsync("/v1/kill", new { issuer = "https://else.example" })).ShouldBe(400).Detail.ShouldContain(_issuer.Url);
        (await mine.PostAsync("/v1/kill", new { all = true })).ShouldBe(401);
    }

    [Fact]
    public async Task An_issuer_that_can_not_be_asked_is_no_reason_to_take_a_token_for_bad()
    {
        _issuer.Instead = context => { context.Response.StatusCode = 500; return Task.FromResult(true); };
        await using var server = await TestServer.StartAsync(_repository, _ => _server.Options with { Data = _server.Data.File("other"), Database = null }, _time);
        var mine = new TestCaller(server, _issuer.Token(_time.GetUtcNow(), null, ("groups", "ord")));
        (await mine.ConfigAsync("ord/dev")).ShouldBe(503, "unavailable");
        (await server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    [Fact]
    public async Task How_often_it_may_ask_is_limited_as_of_any_token()
    {
        await using var server = await TestServer.StartAsync(_repository, _ => _server.Options with { Data = _server.Data.File("limited"), Operation = _server.Options.Operation with { RequestsPerSecond = 5 } }, _time);
        var mine = new TestCaller(server, _issuer.Token(_time.GetUtcNow(), null, ("groups", "ord")));
        var answers = new List<int>();
        for (var n = 0; n < 12; n++) answers.Add((await mine.GetAsync("/v1/whoami")).Status);
        answers.ShouldBe([.. Enumerable.Repeat(200, 10), 429, 429]);
        (await server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    [Fact]
    public async Task A_kill_spares_the_token_that_calls_and_no_other_of_its_subject()
    {
        var boss = With(("groups", "boss"), ("sub", "boss"));
        var stolen = With(("groups", "boss"), ("sub", "boss"), ("iat", _time.GetUtcNow().ToUnixTimeSeconds() - 60));
        foreach (var caller in new[] { boss, stolen }) (await caller.GetAsync("/v1/whoami")).Ok();
        (await boss.PostAsync("/v1/kill", new { issuer = _issuer.Url, subject = "boss" })).Ok();
        await IsSparedAsync();
        await _server.RestartAsync();
        await IsSparedAsync();

        async Task IsSparedAsync()
        {
            (await stolen.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
            (await boss.GetAsync("/v1/whoami")).Ok();
        }
    }

    [Fact]
    public async Task What_they_were_given_is_told_of_a_subject_and_not_said_to_be_nothing_of_an_issuer()
    {
        (await With(("groups", "pay")).ConfigAsync("pay/dev")).Ok();
        var one = (await _server.Admin.PostAsync("/v1/kill", new { issuer = _issuer.Url, subject = "somebody" })).Ok().Json;
        one.GetProperty("exposure").GetProperty("items").EnumerateArray().Single().GetProperty("secret").GetString().ShouldBe("pay/db");
        var all = (await _server.Admin.PostAsync("/v1/kill", new { issuer = _issuer.Url })).Ok().Json;
        all.GetProperty("issuedUntil").GetDateTimeOffset().ShouldBe(_time.GetUtcNow());
        (all.TryGetProperty("exposure", out var exposure) && exposure.ValueKind != JsonValueKind.Null).ShouldBeFalse();
    }

    [Fact]
    public async Task A_role_without_the_permission_lends_no_files()
    {
        (await _server.Admin.PutAsync("/v1/roles/auditor", new { permissions = new[] { "audit:read" } })).Ok();
        var both = With(("groups", new[] { "aud", "pay" }));
        (await both.GetAsync("/v1/audit")).Ok();
        (await both.ConfigAsync("pay/dev")).Ok();
        (await both.GetAsync("/git/config.git/info/refs?service=git-upload-pack")).Status.ShouldBe(403);
        (await With(("groups", "boss")).GetAsync("/git/config.git/info/refs?service=git-upload-pack")).Ok();
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Who_reads_everything_and_writes_some_creates_no_branches()
    {
        await using var server = await TestServer.StartEmbeddedAsync(o => o with
        {
            Issuers = [_issuer.Options(new("groups", "team", "team"), new("groups", "view", "viewer"))],
            Roles = [new RoleOptions { Name = "team", Permissions = ["config:read", "config:write"], Services = ["pay"], Paths = ["pay*.yml"] }],
        });
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("pay.yml", "x: 1\n"));
        var token = _issuer.Token(TimeProvider.System.GetUtcNow(), null, ("groups", new[] { "team", "view" }));
        using var clone = GitClone.Of(server.Server.Address, token).Clone();
        foreach (var what in new[] { "HEAD:refs/heads/mine", "HEAD:refs/tags/mine" }) clone.Push(what).Output.ShouldContain("may not create or delete branches and tags");
        clone.Commit(("pay.yml", "x: 2\n"));
        clone.Push().Exit.ShouldBe(0);
    }

    [Fact]
    public async Task A_key_that_the_issuer_takes_back_ends_connections_too()
    {
        var (mine, other) = (With(("groups", "pay")), new TestCaller(_server, _issuer.Token(_time.GetUtcNow(), _issuer.Keys[1], ("groups", "pay"))));
        await using var watcher = await WatchAsync(mine);
        await using var stays = await WatchAsync(other);
        _issuer.Keys[0].Dispose();
        _issuer.Keys[0] = new TestKey("rsa-9", "RS256");
        _time.Advance(IssuerKeys.Floor);
        (await With(("groups", "pay")).GetAsync("/v1/whoami")).Ok();
        _time.Advance(TimeSpan.FromSeconds(1));
        (await watcher.ClosedAsync()).ShouldBe(4401);
        (await mine.GetAsync("/v1/whoami")).ShouldBe(401);
        (await stays.IsQuietAsync()).ShouldBeTrue();
    }

    [Fact]
    public async Task Who_asks_in_the_name_of_an_issuer_without_keys_is_slowed_down_like_who_guesses()
    {
        _issuer.Instead = context => { context.Response.StatusCode = 500; return Task.FromResult(true); };
        await using var server = await TestServer.StartAsync(_repository, _ => _server.Options with { Data = _server.Data.File("guessed"), Database = null }, _time);
        var guesser = new TestCaller(server, _issuer.Token(_time.GetUtcNow(), null, ("groups", "ord")));
        var statuses = new List<int>();
        for (var n = 0; n <= RateLimits.FailureBurst; n++) statuses.Add((await guesser.GetAsync("/v1/whoami")).Status);
        statuses[..^1].ShouldAllBe(s => s == 503);
        statuses[^1].ShouldBe(429);
        (await server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    private string NameOf(string subject) => $"{subject}@{new Uri(_issuer.Url).Authority}";

    private TestCaller With(params (string Name, object? Value)[] claims) => new(_server, _issuer.Token(_time.GetUtcNow(), null, claims));

    private async Task<TestWatcher> WatchAsync(TestCaller caller)
    {
        var watcher = await TestWatcher.ConnectAsync(_server, caller.Token);
        (await watcher.SubscribeAsync(1, "pay/dev")).GetProperty("op").GetString().ShouldBe("snapshot");
        return watcher;
    }
}
