using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class DerivedTokenTests : IAsyncLifetime
{
    private TokenBench _bench = null!;

    public async Task InitializeAsync() => _bench = await TokenBench.CreateAsync();

    public async Task DisposeAsync() => await _bench.DisposeAsync();

    [Fact]
    public async Task It_is_its_parent_narrowed_for_an_hour_unless_more_is_said()
    {
        var parent = await _bench.CreateTokenAsync("ci", "reader", t => t with { Services = ["payments"], Cidrs = ["10.0.0.0/8"] });
        var change = await _bench.WriteAsync(s => _bench.Table.Derive(s, _bench.CallerOf(parent, "10.0.0.1"), new DerivedToken { Secrets = ["payments/**"] }));
        var child = _bench.Applied(change);
        change.Record.Name.ShouldMatch(@"^ci\.[a-z0-9]{10}$");
        change.Record.ExpiresAt.ShouldBe(_bench.Time.GetUtcNow().AddHours(1));
        change.Record.CreatedBy.ShouldBe("ci");
        _bench.Failure(child).ShouldBe("address-not-allowed");
        var caller = _bench.CallerOf(child, "10.0.0.1");
        (caller.Parent, caller.Role).ShouldBe((_bench.Table.Find("ci")!.Id, "reader"));
        caller.Can(Permission.ConfigRead, Subject.Of("payments", "dev")).ShouldBeTrue();
        caller.Can(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeFalse();
        await _bench.RestartAsync();
        _bench.CallerOf(child, "10.0.0.1").Can(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeFalse();
        _bench.Time.Advance(TimeSpan.FromHours(1));
        _bench.Failure(child, "10.0.0.1").ShouldBe("expired");
    }

    [Fact]
    public async Task It_dies_with_its_parents_roll_revocation_and_expiry_over_all_generations()
    {
        foreach (var end in new Func<string, Task>[] { n => _bench.RollAsync(n), _bench.RevokeAsync, _ => { _bench.Time.Advance(TimeSpan.FromMinutes(10)); return Task.CompletedTask; } })
        {
            var name = "p" + Guid.NewGuid().ToString("N")[..8];
            var parent = await _bench.CreateTokenAsync(name, with: t => t with { ExpiresIn = TimeSpan.FromMinutes(10) });
            var child = await _bench.DeriveAsync(parent);
            var grandchild = await _bench.DeriveAsync(child);
            var held = _bench.CallerOf(grandchild);
            await end(name);
            _bench.Failure(child).ShouldNotBeNull();
            _bench.Failure(grandchild).ShouldNotBeNull();
            _bench.Authenticator.IsCurrent(held).ShouldBeFalse();
            await Should.ThrowAsync<LockstepException>(() => _bench.WriteAsync(s => { _bench.Authenticator.EnsureCurrent(s, held); return 0; }));
            await _bench.RestartAsync();
            _bench.Failure(grandchild).ShouldNotBeNull();
        }
    }

    [Fact]
    public async Task With_grace_what_was_derived_with_the_old_secret_ends_with_it_and_with_the_new_one_lives()
    {
        var old = await _bench.CreateTokenAsync("ci");
        var before = await _bench.DeriveAsync(old);
        var rolled = await _bench.RollAsync("ci", TimeSpan.FromMinutes(5));
        var during = await _bench.DeriveAsync(old);
        var after = await _bench.DeriveAsync(rolled);
        foreach (var child in new[] { before, during, after }) _bench.Failure(child).ShouldBeNull();
        _bench.Time.Advance(TimeSpan.FromMinutes(5));
        _bench.Failure(before).ShouldBe("parent-ended");
        _bench.Failure(during).ShouldBe("parent-ended");
        _bench.Failure(after).ShouldBeNull();
        await _bench.RollAsync("ci");
        _bench.Failure(after).ShouldBe("parent-ended");
    }

    [Fact]
    public async Task A_roll_that_revives_its_parent_does_not_revive_it()
    {
        var parent = await _bench.CreateTokenAsync("ci");
        var child = await _bench.DeriveAsync(parent);
        await _bench.RevokeAsync("ci");
        _bench.Failure(child).ShouldBe("parent-ended");
        await _bench.RollAsync("ci");
        _bench.Failure(child).ShouldBe("parent-ended");
    }

    [Fact]
    public async Task It_never_permits_more_than_its_parent_whatever_becomes_of_the_roles()
    {
        await _bench.SetRoleAsync("wide", new() { Name = "wide", Permissions = ["config:read", "config:write"] });
        await _bench.SetRoleAsync("narrow", new() { Name = "narrow", Permissions = ["config:read"] });
        var parent = await _bench.CreateTokenAsync("ci", "wide");
        var child = await _bench.DeriveAsync(parent, d => d with { Role = "narrow" });
        await _bench.SetRoleAsync("narrow", new() { Name = "narrow", Permissions = ["admin"] });
        var caller = _bench.CallerOf(child);
        caller.Can(Permission.ConfigWrite, Subject.Of("a", "b")).ShouldBeTrue();
        caller.Can(Permission.Admin, Subject.Nothing).ShouldBeFalse();
        caller.Can(Permission.SecretReveal, Subject.Nothing).ShouldBeFalse();
        await _bench.SetRoleAsync("wide", new() { Name = "wide", Permissions = ["config:read"], Services = ["a"] });
        _bench.Authenticator.StandingOf(caller).ShouldBe(Standing.OtherGrant);
        _bench.CallerOf(child).Can(Permission.ConfigRead, Subject.Of("a", "b")).ShouldBeTrue();
        _bench.CallerOf(child).Can(Permission.ConfigRead, Subject.Of("b", "b")).ShouldBeFalse();
        _bench.CallerOf(child).Can(Permission.ConfigWrite, Subject.Of("a", "b")).ShouldBeFalse();
        await _bench.SetRoleAsync("wide", null);
        _bench.CallerOf(child).Can(Permission.ConfigRead, Subject.Of("a", "b")).ShouldBeFalse();
        await _bench.RefusedAsync(ErrorCode.Forbidden, () => _bench.DeriveAsync(parent), "there is no role 'wide'");
    }

    [Fact]
    public async Task More_than_the_parent_holds_is_refused_and_so_is_what_makes_no_sense()
    {
        var parent = await _bench.CreateTokenAsync("ci", "reader", t => t with { Services = ["payments"], ExpiresIn = TimeSpan.FromHours(5) });
        Task Refused(ErrorCode code, DerivedToken request, string detail) => _bench.RefusedAsync(code, () => _bench.DeriveAsync(parent, _ => request), detail);
        await Refused(ErrorCode.Forbidden, new() { Role = "admin" }, "there is no role 'admin', or");
        await Refused(ErrorCode.Forbidden, new() { Services = ["*"] }, "services go beyond yours");
        await Refused(ErrorCode.BadRequest, new() { Services = [] }, "services:");
        await Refused(ErrorCode.Forbidden, new() { Role = "none" }, "role:");
        await Refused(ErrorCode.BadRequest, new() { Name = "Bad" }, "name:");
        await Refused(ErrorCode.BadRequest, new() { ExpiresIn = TimeSpan.Zero }, "expiresIn");
        await Refused(ErrorCode.BadRequest, new() { ExpiresIn = TimeSpan.FromDays(33) }, "32d");
        await Refused(ErrorCode.BadRequest, new() { RenewableFor = TimeSpan.FromDays(33) }, "32d");
        await Refused(ErrorCode.BadRequest, new() { ExpiresIn = TimeSpan.FromHours(2), RenewableFor = TimeSpan.FromHours(1) }, "renewableFor");
        await Refused(ErrorCode.BadRequest, new() { Name = new string('x', NameRules.MaxLength - 2) }, "name:");
        var foreign = new Caller { TokenId = "jwt_0123", Name = "ann@issuer", Grant = new Grant(RoleSet.BuiltIn.Find("admin")!, TokenLimits.None) };
        await _bench.RefusedAsync(ErrorCode.BadRequest, () => _bench.WriteAsync(s => _bench.Table.Derive(s, foreign, new())), "only a service token");
        var change = await _bench.WriteAsync(s => _bench.Table.Derive(s, _bench.CallerOf(parent), new() { ExpiresIn = TimeSpan.FromDays(2) }));
        change.Record.ExpiresAt.ShouldBe(_bench.Table.Find("ci")!.ExpiresAt, "not beyond its parent");
    }

    [Fact]
    public async Task Its_name_is_free_again_when_it_has_expired_and_nobody_derives_over_a_name_that_was_created()
    {
        var parent = await _bench.CreateTokenAsync("ci");
        await _bench.CreateTokenAsync("ci.brief", with: t => t with { ExpiresIn = TimeSpan.FromMinutes(1) });
        var first = await _bench.DeriveAsync(parent, d => d with { Name = "job", ExpiresIn = TimeSpan.FromMinutes(1) });
        await _bench.RefusedAsync(ErrorCode.AlreadyExists, () => _bench.DeriveAsync(parent, d => d with { Name = "job" }));
        _bench.Time.Advance(TimeSpan.FromMinutes(1));
        var second = await _bench.DeriveAsync(parent, d => d with { Name = "job" });
        _bench.Failure(first).ShouldNotBeNull();
        _bench.Failure(second).ShouldBeNull();
        await _bench.RefusedAsync(ErrorCode.AlreadyExists, () => _bench.DeriveAsync(parent, d => d with { Name = "brief" }));
    }

    [Fact]
    public async Task Generations_are_limited()
    {
        var bearer = await _bench.CreateTokenAsync("ci");
        for (var n = 0; n < TokenTable.MaxDepth; n++) bearer = await _bench.DeriveAsync(bearer);
        _bench.Failure(bearer).ShouldBeNull();
        await _bench.RefusedAsync(ErrorCode.Conflict, () => _bench.DeriveAsync(bearer), "at most 8");
        await _bench.RollAsync("ci");
        _bench.Failure(bearer).ShouldBe("parent-ended");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task However_many_one_token_derives_it_takes_no_room_from_others()
    {
        var greedy = await _bench.CreateTokenAsync("greedy");
        var child = _bench.CallerOf(await _bench.DeriveAsync(await _bench.CreateTokenAsync("other")));
        var one = await _bench.DeriveAsync(greedy, d => d with { Name = "one" });
        // The same, as often as may be.
        await _bench.WriteAsync(s => s.Execute($"""
            WITH RECURSIVE n(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < {TokenTable.MaxDerived})
            INSERT INTO tokens (id, name, hash, parent, parent_hash, root, role, created_at, created_by, expires_at)
            SELECT 'x' || n, 'x' || n, hash, parent, parent_hash, root, role, created_at, created_by, expires_at FROM tokens, n WHERE name = 'greedy.one'
            """));
        await _bench.WriteAsync(s => { _bench.Authenticator.Load(s); return 0; });
        await _bench.RefusedAsync(ErrorCode.Conflict, () => _bench.DeriveAsync(greedy), "the one that 'greedy'");
        await _bench.RefusedAsync(ErrorCode.Conflict, () => _bench.DeriveAsync(one), "10,000 tokens");
        await _bench.WriteAsync(s => _bench.Table.Derive(s, child, new()));
        // What has died with a secret that was rolled away takes no room.
        var rolled = await _bench.RollAsync("greedy");
        _bench.Table.ForgetEnded();
        _bench.Failure(await _bench.DeriveAsync(rolled)).ShouldBeNull();
    }

    [Fact]
    public async Task What_has_ended_for_good_is_forgotten_and_its_row_stays_for_the_record()
    {
        var parent = await _bench.CreateTokenAsync("ci", with: t => t with { ExpiresIn = TimeSpan.FromHours(2) });
        await _bench.DeriveAsync(parent, d => d with { Name = "one", ExpiresIn = TimeSpan.FromMinutes(1) });
        await _bench.DeriveAsync(parent, d => d with { Name = "two", ExpiresIn = TimeSpan.FromMinutes(90) });
        _bench.Table.ForgetEnded();
        Names().ShouldBe(["ci", "ci.one", "ci.two"]);
        _bench.Time.Advance(TimeSpan.FromMinutes(1));
        _bench.Table.ForgetEnded();
        Names().ShouldBe(["ci", "ci.two"]);
        (await RowsAsync()).ShouldBe(["ci", "ci.one", "ci.two"]);
        await _bench.DeriveAsync(parent, d => d with { Name = "one" });
        (await RowsAsync()).Count.ShouldBe(4, "the name is free, and the row of who had it stays");
        _bench.Time.Advance(TimeSpan.FromHours(2));
        _bench.Table.ForgetEnded();
        Names().ShouldBe(["ci"], "what was created is kept");
        await _bench.RestartAsync();
        Names().ShouldBe(["ci"]);
        await _bench.WriteAsync(s => { TokenRecord.DeleteExpired(s, _bench.Time.GetUtcNow()); return 0; });
        (await RowsAsync()).ShouldBeEmpty();

        IEnumerable<string> Names() => _bench.Table.All.Select(t => t.Name);
        Task<List<string>> RowsAsync() => _bench.Database.ReadAsync(s => s.Query("SELECT name FROM tokens ORDER BY name", r => r.GetString(0)), default);
    }

    [Fact]
    public async Task Its_patterns_and_those_of_a_created_one_have_a_limit_in_length_all_together()
    {
        // Each counts with what separates it from the next.
        string[] Secrets(int length) => [.. Enumerable.Range(0, length / 128).Select(i => new string('a', 123) + i.ToString("0000", System.Globalization.CultureInfo.InvariantCulture))];
        var parent = await _bench.CreateTokenAsync("ci");
        (await _bench.DeriveAsync(parent, d => d with { Secrets = Secrets(TokenTable.MaxDerivedText) })).ShouldSatisfyAllConditions(t => _bench.Failure(t).ShouldBeNull());
        await _bench.RefusedAsync(ErrorCode.BadRequest, () => _bench.DeriveAsync(parent, d => d with { Secrets = Secrets(TokenTable.MaxDerivedText), Services = ["a"] }), "1,024 characters together");
        await _bench.CreateTokenAsync("long", with: t => t with { Secrets = Secrets(TokenTable.MaxText) });
        await _bench.RefusedAsync(ErrorCode.BadRequest, () => _bench.CreateTokenAsync("longer", with: t => t with { Secrets = Secrets(TokenTable.MaxText), Cidrs = ["10.0.0.0/8"] }), "4,096 characters together");
    }

    [Fact]
    public async Task What_is_bounded_for_one_token_is_bounded_for_all_that_derive_from_it_together()
    {
        var rates = new RateLimits(10, new ManualTime(timers: true));
        var root = await _bench.CreateTokenAsync("ci");
        var (child, sibling, other) = (await _bench.DeriveAsync(root), await _bench.DeriveAsync(root), await _bench.CreateTokenAsync("other"));
        var grandchild = await _bench.DeriveAsync(child);
        foreach (var bearer in new[] { root, child, sibling, grandchild }) _bench.CallerOf(bearer).Root.ShouldBe(_bench.Table.Find("ci")!.Id);
        for (var n = 0; n < 20; n++) rates.Request(_bench.CallerOf(n % 2 == 0 ? child : grandchild));
        foreach (var bearer in new[] { root, child, sibling, grandchild })
            Should.Throw<LockstepException>(() => rates.Request(_bench.CallerOf(bearer))).Code.ShouldBe(ErrorCode.RateLimited);
        rates.Request(_bench.CallerOf(other));
        var time = new ManualTime(timers: true);
        for (var n = 0; n < RateLimits.DerivationBurst; n++) RateLimits.Derivation(_bench.CallerOf(grandchild), time);
        Should.Throw<LockstepException>(() => RateLimits.Derivation(_bench.CallerOf(sibling), time)).Code.ShouldBe(ErrorCode.RateLimited);
        RateLimits.Derivation(_bench.CallerOf(other), time);
    }

    [Fact]
    public async Task Who_was_derived_gives_out_nothing_and_may_still_end_what_it_holds()
    {
        var root = await _bench.CreateTokenAsync("ci", "admin");
        await _bench.CreateTokenAsync("app");
        var child = _bench.CallerOf(await _bench.DeriveAsync(root, d => d with { Name = "job" }));
        await _bench.RefusedAsync(ErrorCode.Forbidden, () => _bench.WriteAsync(s => _bench.Table.Create(s, child, new("mine", "viewer"))), "derive from it instead");
        foreach (var name in new[] { "ci", "ci.job", "app" })
            await _bench.RefusedAsync(ErrorCode.Forbidden, () => _bench.WriteAsync(s => _bench.Table.Roll(s, child, name, TimeSpan.FromMinutes(1))), "would outlive that");
        _bench.Table.Apply(await _bench.WriteAsync(s => _bench.Table.Revoke(s, child, "app")));
        _bench.Table.Find("app")!.RevokedAt.ShouldNotBeNull();
    }

    [Fact]
    public async Task A_renewal_goes_neither_beyond_what_was_said_nor_beyond_its_parent()
    {
        var now = _bench.Time.GetUtcNow();
        var parent = await _bench.CreateTokenAsync("ci", with: t => t with { ExpiresIn = TimeSpan.FromMinutes(100) });
        var child = await _bench.DeriveAsync(parent, d => d with { Name = "job", ExpiresIn = TimeSpan.FromMinutes(10), RenewableFor = TimeSpan.FromMinutes(25) });
        var longest = await _bench.DeriveAsync(parent, d => d with { ExpiresIn = TimeSpan.FromMinutes(90), RenewableFor = TimeSpan.FromMinutes(1000) });
        var plain = await _bench.DeriveAsync(parent);
        var held = _bench.CallerOf(child);
        (await _bench.RenewAsync(child, TimeSpan.FromDays(1))).ShouldBe(now.AddMinutes(10), "not longer than it was made for");
        (await _bench.RenewAsync(child, TimeSpan.FromMinutes(4))).ShouldBe(now.AddMinutes(4));
        (await _bench.RenewAsync(child)).ShouldBe(now.AddMinutes(10));
        await _bench.RefusedAsync(ErrorCode.BadRequest, () => _bench.RenewAsync(child, TimeSpan.Zero), "expiresIn");
        await _bench.RefusedAsync(ErrorCode.Conflict, () => _bench.RenewAsync(plain), "--renewable-for");
        await _bench.RefusedAsync(ErrorCode.Conflict, () => _bench.RenewAsync(parent), "can't be renewed");
        _bench.Time.Advance(TimeSpan.FromMinutes(9));
        (await _bench.RenewAsync(child)).ShouldBe(now.AddMinutes(19));
        _bench.Authenticator.StandingOf(held).ShouldBe(Standing.Current, "who is connected goes on");
        _bench.Time.Advance(TimeSpan.FromMinutes(9));
        (await _bench.RenewAsync(child)).ShouldBe(now.AddMinutes(25));
        (await _bench.RenewAsync(longest)).ShouldBe(now.AddMinutes(100));
        await _bench.RestartAsync();
        _bench.CallerOf(child).ExpiresAt.ShouldBe(now.AddMinutes(25));
        _bench.Time.Advance(TimeSpan.FromMinutes(7));
        _bench.Failure(child).ShouldBe("expired");
        await Should.ThrowAsync<LockstepException>(() => _bench.WriteAsync(s =>
        {
            var change = _bench.Table.Renew(s, held, null);
            _bench.Authenticator.EnsureCurrent(s, held);
            return change;
        }));
    }

    [Fact]
    public async Task What_is_applied_late_does_not_undo_what_was_loaded_since()
    {
        var old = await _bench.CreateTokenAsync("ci");
        var first = await _bench.WriteAsync(s => _bench.Table.Roll(s, TokenBench.Admin, "ci", TimeSpan.Zero));
        var (before, order) = await _bench.WriteAsync(s => _bench.WriteRole(s, "own", new() { Name = "own", Permissions = ["config:write"] }));
        // Committed, and nobody here has heard of it.
        var second = await _bench.WriteAsync(s => _bench.Table.Revoke(s, TokenBench.Admin, "ci"));
        await _bench.WriteAsync(s => _bench.WriteRole(s, "own", new() { Name = "own", Permissions = ["config:read"] }));
        await _bench.WriteAsync(s => { _bench.Authenticator.Load(s); return 0; });
        _bench.Failure(first.Token!.Value.Export()).ShouldBe("revoked");
        _bench.Table.Apply(first);
        _bench.Table.ApplyRoles(before, order);
        _bench.Failure(first.Token!.Value.Export()).ShouldBe("revoked");
        _bench.Failure(old).ShouldBe("unknown");
        _bench.Table.Roles.Find("own")!.Has(Permission.ConfigWrite).ShouldBeFalse();
        _bench.Table.Apply(second);
        (await _bench.RollAsync("ci")).ShouldSatisfyAllConditions(t => _bench.Failure(t).ShouldBeNull());
    }
}
