using System.Net;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Push;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;
using Watcher = Lockstep.Push.Watcher;

namespace Lockstep.Tests.Gate;

/// <summary>What a token can do about itself and those below it, through the whole server.</summary>
public sealed class OwnTokenTests : IAsyncLifetime
{
    private readonly ManualTime _time = new(timers: true);
    private readonly TestRepository _repository = TestRepository.With(("shop.yml", "a: 1\n"));
    private TestServer _server = null!;

    public async Task InitializeAsync() => _server = await TestServer.StartAsync(_repository, time: _time);

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task It_rolls_itself_and_what_was_shown_is_dead()
    {
        var leaked = await _server.AsAsync("admin");
        var rolled = (await leaked.PostAsync($"/v1/tokens/{leaked.Name}/roll")).ShouldBe(200);
        (await leaked.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        (await new TestCaller(_server, rolled.Json.GetProperty("token").GetString()).GetAsync("/v1/whoami")).Ok();
        (await _server.QueryAsync($"SELECT COUNT(*) FROM audit WHERE action = 'token.roll' AND entry LIKE '%{leaked.TokenId}%'")).ShouldBe(["1"]);
    }

    [Theory]
    [InlineData("admin")]
    [InlineData("viewer")]
    public async Task It_revokes_itself_whatever_it_may_do_and_is_dead(string role)
    {
        var leaked = await _server.AsAsync(role);
        (await leaked.DeleteAsync($"/v1/tokens/{leaked.Name}")).ShouldBe(204);
        (await leaked.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
        await _server.RestartAsync();
        (await leaked.GetAsync("/v1/whoami")).ShouldBe(401, "unauthenticated");
    }

    [Fact]
    public async Task The_old_text_in_its_grace_goes_on_and_can_neither_roll_nor_revoke_its_token()
    {
        var old = await _server.AsAsync("admin");
        var rolled = new TestCaller(_server, (await _server.Admin.PostAsync($"/v1/tokens/{old.Name}/roll?grace=60s")).Ok().Json.GetProperty("token").GetString());
        (await old.PostAsync($"/v1/tokens/{old.Name}/roll")).ShouldBe(403, "forbidden").Detail.ShouldContain("its old text");
        (await old.DeleteAsync($"/v1/tokens/{old.Name}")).ShouldBe(403, "forbidden");
        (await old.ConfigAsync("shop/dev")).Ok();
        (await rolled.GetAsync("/v1/whoami")).Ok();
        (await rolled.DeleteAsync($"/v1/tokens/{old.Name}")).ShouldBe(204);
        foreach (var caller in new[] { old, rolled }) (await caller.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Fact]
    public async Task What_expired_while_it_waited_is_not_renewed()
    {
        var child = await DeriveAsync(_server.Admin, new { expiresIn = "10m", renewableFor = "10h" });
        var call = new CallContext((await _server.Gate.Authenticator.AuthenticateAsync(child.Token, IPAddress.Loopback, default)).Caller!, IPAddress.Loopback, null, null, "test");
        _time.Advance(TimeSpan.FromMinutes(10));
        (await Should.ThrowAsync<LockstepException>(() => _server.Gate.RenewTokenAsync(call, null, default))).Code.ShouldBe(ErrorCode.Unauthenticated);
        (await child.GetAsync("/v1/whoami")).ShouldBe(401);
        (await child.PostAsync("/v1/tokens/renew", new { })).ShouldBe(401);
    }

    [Fact]
    public async Task One_that_was_derived_hands_out_nothing_that_outlives_it()
    {
        var parent = await _server.AsAsync("admin");
        var other = await _server.AsAsync("viewer");
        var child = await DeriveAsync(parent, new { name = "job" });
        (await child.PostAsync("/v1/tokens", new { name = "mine", role = "viewer" })).ShouldBe(403, "forbidden");
        foreach (var name in new[] { parent.Name, other.Name, parent.Name + ".job" })
            (await child.PostAsync($"/v1/tokens/{name}/roll?grace=1s")).ShouldBe(403, "forbidden");
        (await child.GetAsync("/v1/tokens")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(4);
        (await child.DeleteAsync($"/v1/tokens/{other.Name}")).ShouldBe(204);
        (await other.GetAsync("/v1/whoami")).ShouldBe(401);
        (await child.DeleteAsync($"/v1/tokens/{parent.Name}.job")).ShouldBe(204);
        (await child.GetAsync("/v1/whoami")).ShouldBe(401);
        (await parent.GetAsync("/v1/whoami")).Ok();
    }

    [Fact]
    public async Task How_often_may_be_derived_and_renewed_is_limited_for_all_below_one_token_together()
    {
        var (root, other) = (await _server.AsAsync("viewer"), await _server.AsAsync("viewer"));
        var child = await DeriveAsync(root, new { renewableFor = "10h" });
        var caller = (await _server.Gate.Authenticator.AuthenticateAsync(child.Token, IPAddress.Loopback, default)).Caller!;
        for (var n = 1; n < RateLimits.DerivationBurst; n++) RateLimits.Derivation(caller, _time);
        foreach (var who in new[] { root, child }) (await who.PostAsync("/v1/tokens/derive", new { })).ShouldBe(429, "rate-limited").Header("Retry-After").ShouldBe("1");
        (await child.PostAsync("/v1/tokens/renew", new { })).ShouldBe(429, "rate-limited");
        (await child.GetAsync("/v1/whoami")).Ok();
        (await other.PostAsync("/v1/tokens/derive", new { })).ShouldBe(201);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await child.PostAsync("/v1/tokens/derive", new { })).ShouldBe(201);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task The_places_of_watchers_are_those_of_all_below_one_token_together()
    {
        await using var hub = new WatchHub(_server.Gate, NullLogger<WatchHub>.Instance);
        var root = await _server.AsAsync("viewer");
        TestCaller[] family = [root, await DeriveAsync(root, new { }), await DeriveAsync(root, new { })];
        var all = new List<Watcher>();
        for (var n = 0; n < WatchLimits.MaxWatchersOfToken; n++) all.Add(await EnterAsync(family[n % family.Length]));
        foreach (var who in family) (await Should.ThrowAsync<LockstepException>(() => EnterAsync(who))).Message.ShouldContain("as many watchers as one token may have");
        all.Add(await EnterAsync(_server.Admin));
        foreach (var watcher in all) hub.Exit(watcher);

        async Task<Watcher> EnterAsync(TestCaller who)
        {
            var caller = (await _server.Gate.Authenticator.AuthenticateAsync(who.Token, IPAddress.Loopback, default)).Caller!;
            var watcher = new Watcher(hub, new Nowhere(), new CallContext(caller, IPAddress.Loopback, null, null, "test"));
            hub.Enter(watcher);
            return watcher;
        }
    }

    private async Task<TestCaller> DeriveAsync(TestCaller from, object request) =>
        new(_server, (await from.PostAsync("/v1/tokens/derive", request)).Ok().Json.GetProperty("token").GetString());

    /// <summary>Takes a place and leads nowhere.</summary>
    private sealed class Nowhere : IWatchConnection
    {
        public ValueTask SendAsync(Lockstep.Push.ServerFrame frame, CancellationToken cancellationToken) => default;

        public ValueTask CloseAsync(WatchClose close, CancellationToken cancellationToken) => default;

        public void Abort()
        {
        }
    }
}
