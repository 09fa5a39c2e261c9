using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class KillTests : IAsyncLifetime
{
    private readonly TestRepository _repository = TestRepository.With(("shop.yml", "a: 1\n"), ("other.yml", "a: 1\n"));
    private TestServer _server = null!;

    public async Task InitializeAsync() => _server = await TestServer.StartAsync(_repository);

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Theory]
    [InlineData("""{"services":["shop"]}""", "everywhere shop shop-dev shop-prod viewer-dev")]
    [InlineData("""{"services":["shop"],"environments":["prod"]}""", "everywhere shop shop-prod")]
    [InlineData("""{"environments":["dev"]}""", "everywhere other shop shop-dev viewer-dev")]
    [InlineData("""{"services":["nothing"]}""", "everywhere viewer-dev")]
    [InlineData("""{"services":["nothing","other"],"environments":["prod"]}""", "everywhere other")]
    [InlineData("""{"all":true}""", "everywhere other shop shop-dev shop-prod viewer-dev")]
    public async Task It_ends_the_tokens_that_could_be_used_there(string scope, string expected)
    {
        var tokens = await TokensAsync();
        var gone = expected.Split(' ');
        // Tried first: it says the same and changes nothing.
        Names(await KillAsync(scope.Replace("}", ",\"dryRun\":true}", StringComparison.Ordinal))).ShouldBe(gone);
        foreach (var (_, token) in tokens) (await token.GetAsync("/v1/whoami")).Ok();
        (await _server.QueryAsync("SELECT COUNT(*) FROM kills")).ShouldBe(["0"]);
        Names(await KillAsync(scope)).ShouldBe(gone);
        await AreDeadAsync();
        await _server.RestartAsync();
        await AreDeadAsync();
        Names(await KillAsync(scope)).ShouldBeEmpty("they are dead already");
        foreach (var name in gone)
        {
            var revived = (await _server.Admin.PostAsync($"/v1/tokens/{name}/roll")).Ok().Json.GetProperty("token").GetString();
            (await new TestCaller(_server, revived).GetAsync("/v1/whoami")).Ok();
        }
        await AreDeadAsync();

        async Task AreDeadAsync()
        {
            foreach (var (name, token) in tokens) (await token.GetAsync("/v1/whoami")).Status.ShouldBe(gone.Contains(name) ? 401 : 200, name);
        }
    }

    [Fact]
    public async Task It_spares_its_caller_and_what_that_derives_from_and_nothing_that_derives_from_others()
    {
        var boss = await _server.AsAsync("admin", t => t with { Name = "boss" });
        var middle = await DeriveAsync(boss, "middle");
        var caller = await DeriveAsync(middle, "caller");
        var (sibling, child) = (await DeriveAsync(boss, "sibling"), await DeriveAsync(caller, "child"));
        var theirs = await DeriveAsync(_server.Admin, "theirs");
        var grandchild = await DeriveAsync(theirs, "grandchild");
        Names((await caller.PostAsync("/v1/kill", new { all = true })).Ok()).ShouldBe([child.Name, sibling.Name, _server.Admin.Name, theirs.Name, grandchild.Name]);
        foreach (var alive in new[] { boss, middle, caller }) (await alive.GetAsync("/v1/whoami")).Ok();
        foreach (var dead in new[] { sibling, child, grandchild, _server.Admin }) (await dead.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Fact]
    public async Task What_derives_from_a_killed_token_dies_with_it_though_it_is_not_in_scope_itself()
    {
        var parent = await _server.AsAsync("reader");
        var child = (await parent.PostAsync("/v1/tokens/derive", new { services = new[] { "other" } })).Ok().Json;
        var derived = new TestCaller(_server, child.GetProperty("token").GetString());
        Names(await KillAsync("""{"services":["shop"]}""")).ShouldBe([parent.Name]);
        (await derived.GetAsync("/v1/whoami")).ShouldBe(401);
        (await _server.Admin.PostAsync($"/v1/tokens/{parent.Name}/roll")).Ok();
        (await derived.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("""{"dryRun":true}""")]
    [InlineData("""{"all":true,"services":["a"]}""")]
    [InlineData("""{"services":[]}""")]
    [InlineData("""{"services":["a*"]}""")]
    [InlineData("""{"environments":["a b"]}""")]
    [InlineData("""{"subject":"ann"}""")]
    [InlineData("""{"issuer":"https://nobody.example"}""")]
    [InlineData("""{"all":true,"more":1}""")]
    public async Task What_is_not_clear_kills_nobody(string scope)
    {
        var token = await _server.AsAsync("reader");
        (await _server.Admin.PostAsync("/v1/kill", scope)).ShouldBe(400, "bad-request");
        (await token.GetAsync("/v1/whoami")).Ok();
    }

    [Fact]
    public async Task It_needs_admin_over_everything_and_is_on_the_record_with_whom_it_ended()
    {
        var token = await _server.AsAsync("reader");
        var limited = await _server.AsAsync("admin", t => t with { Services = ["shop"] });
        (await limited.PostAsync("/v1/kill", new { services = new[] { "shop" } })).ShouldBe(403, "forbidden");
        (await limited.PostAsync("/v1/kill", new { services = new[] { "shop" }, dryRun = true })).ShouldBe(403, "forbidden");
        Names(await KillAsync("""{"services":["shop"],"environments":["dev"]}""")).Length.ShouldBe(2);
        var entries = (await _server.Admin.GetAsync("/v1/audit?action=kill")).Ok().Json.GetProperty("items").EnumerateArray().ToList();
        entries.Select(e => e.GetProperty("decision").GetString()).ShouldBe(["allowed", "denied", "denied"]);
        entries[0].GetProperty("subject").GetString().ShouldBe("services shop, environments dev");
        entries[0].GetProperty("actor").GetString().ShouldBe(_server.Admin.Name);
        entries[0].GetProperty("detail").GetString().ShouldStartWith("2 tokens: ");
        entries[0].GetProperty("detail").GetString()!.ShouldContain($"{token.Name} ({token.TokenId})");
        (await _server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task When_a_token_was_used_last_is_shown_and_outlives_a_restart()
    {
        var token = await _server.AsAsync("reader");
        (await LastUsedAsync()).ShouldBeNull();
        (await token.GetAsync("/v1/whoami")).Ok();
        var used = (await LastUsedAsync()).ShouldNotBeNull();
        TimeProvider.System.GetUtcNow().ShouldBeInRange(used.AddMinutes(-1), used.AddMinutes(5));
        await _server.Gate.KeepTokensAsync(TimeSpan.Zero, default);
        await _server.RestartAsync();
        (await LastUsedAsync()).ShouldBe(used);

        async Task<DateTimeOffset?> LastUsedAsync()
        {
            var item = (await _server.Admin.GetAsync("/v1/tokens")).Ok().Json.GetProperty("items").EnumerateArray().Single(t => t.GetProperty("name").GetString() == token.Name);
            return item.TryGetProperty("lastUsedAt", out var at) && at.ValueKind != System.Text.Json.JsonValueKind.Null ? at.GetDateTimeOffset() : null;
        }
    }

    private async Task<(string Name, TestCaller Caller)[]> TokensAsync()
    {
        async Task<(string, TestCaller)> Make(string name, string role, string? service, string? environment) => (name, await _server.AsAsync(role, t => t with
        {
            Name = name, Services = service is null ? null : [service], Environments = environment is null ? null : [environment],
        }));
        return
        [
            await Make("everywhere", "reader", null, null), await Make("shop", "reader", "sh*", null), await Make("shop-dev", "reader", "shop", "dev"),
            await Make("shop-prod", "writer", "shop", "prod"), await Make("other", "reader", "other", null), await Make("viewer-dev", "viewer", null, "dev"),
        ];
    }

    private async Task<TestCaller> DeriveAsync(TestCaller from, string name) =>
        new(_server, (await from.PostAsync("/v1/tokens/derive", new { name })).Ok().Json.GetProperty("token").GetString()) { Name = $"{from.Name}.{name}" };

    private async Task<Answer> KillAsync(string scope) => (await _server.Admin.PostAsync("/v1/kill", scope)).Ok();

    private static string[] Names(Answer answer) =>
        [.. answer.Json.GetProperty("tokens").EnumerateArray().Select(t => t.GetProperty("name").GetString()!).Order(StringComparer.Ordinal)];
}
