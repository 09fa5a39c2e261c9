using System.Net;
using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class TokenTableTests : IAsyncLifetime
{
    private static readonly Caller s_admin = Caller.System("test");
    private readonly ManualTime _time = new();
    private readonly JwtIssuers _issuers = new([], TimeProvider.System, NullLogger<JwtIssuers>.Instance);
    private readonly TestDatabase _place = TestDatabase.Sqlite();
    private TokenTable _table = null!;
    private Authenticator _authenticator = null!;
    private Database _database = null!;

    public async Task InitializeAsync()
    {
        _table = new TokenTable(RoleSet.BuiltIn, _time);
        _authenticator = new Authenticator(_table, new Kills(), _issuers, _time);
        _database = await _place.OpenAsync();
    }

    public async Task DisposeAsync()
    {
        await _database.DisposeAsync();
        _place.Dispose();
    }

    [Fact]
    public async Task A_created_token_authenticates_once_applied_and_after_a_restart()
    {
        var change = await Write(s => _table.Create(s, s_admin, new("ci", "reader") { Services = ["payments"], Secrets = ["payments/**"], ExpiresIn = TimeSpan.FromDays(1) }));
        var bearer = change.Token!.Value.Export();
        Failure(bearer).ShouldBe("unknown");
        _table.Apply(change);
        var caller = Ask(_authenticator, bearer, IPAddress.Loopback).Caller!;
        (caller.Name, caller.Role, caller.TokenId).ShouldBe(("ci", "reader", change.Record.Id));
        caller.ExpiresAt.ShouldBe(_time.GetUtcNow().AddDays(1));
        caller.Can(Permission.ConfigRead, Subject.Of("payments", "dev")).ShouldBeTrue();
        caller.Can(Permission.ConfigRead, Subject.Of("orders", "dev")).ShouldBeFalse();

        var again = new TokenTable(RoleSet.BuiltIn, _time);
        await _database.ReadAsync(s => { again.Load(s); return true; }, default);
        Ask(new Authenticator(again, new Kills(), _issuers, _time), bearer, null).Caller!.Name.ShouldBe("ci");
        again.Find("ci")!.Services.ShouldBe(["payments"]);
        again.Find("ci")!.Cidrs.ShouldBeNull();
    }

    [Fact]
    public async Task Each_failure_has_its_reason()
    {
        var bearer = await Create(new("ci", "reader") { ExpiresIn = TimeSpan.FromMinutes(1), Cidrs = ["10.0.0.0/8", "::1"] });
        Failure(null).ShouldBe("missing");
        Failure(bearer[..^1]).ShouldBe("malformed");
        Failure(ServiceToken.Create().Export()).ShouldBe("unknown");
        Failure(ServiceToken.Create(bearer[4..16]).Export()).ShouldBe("unknown");
        Failure(bearer).ShouldBe("address-not-allowed");
        Failure(bearer, "11.0.0.1").ShouldBe("address-not-allowed");
        Failure(bearer, "10.9.8.7").ShouldBeNull();
        Failure(bearer, "::ffff:10.9.8.7").ShouldBeNull();
        Failure(bearer, "::1").ShouldBeNull();
        _time.Advance(TimeSpan.FromMinutes(1));
        Failure(bearer, "::1").ShouldBe("expired");
        _table.Apply(await Write(s => _table.Revoke(s, s_admin, "ci")));
        var result = Ask(_authenticator, bearer, IPAddress.IPv6Loopback);
        result.Failure.ShouldBe("revoked");
        result.Caller.ShouldBeNull();
    }

    [Fact]
    public async Task A_roll_without_grace_ends_the_old_secret_at_once()
    {
        var old = await Create(new("ci", "reader"));
        var rolled = await Roll("ci", TimeSpan.Zero);
        Failure(old).ShouldBe("unknown");
        Failure(rolled).ShouldBeNull();
        rolled[..16].ShouldBe(old[..16], "the public id stays");
    }

    [Fact]
    public async Task A_roll_with_grace_keeps_the_old_secret_until_then_and_only_the_last_old_one()
    {
        var first = await Create(new("ci", "reader"));
        var second = await Roll("ci", TimeSpan.FromMinutes(5));
        Failure(first).ShouldBeNull();
        var third = await Roll("ci", TimeSpan.FromMinutes(5));
        Failure(first).ShouldBe("unknown");
        Failure(second).ShouldBeNull();
        _time.Advance(TimeSpan.FromMinutes(5));
        Failure(second).ShouldBe("unknown");
        Failure(third).ShouldBeNull();
    }

    [Fact]
    public async Task A_revoked_token_is_dead_with_its_grace_and_a_roll_revives_the_name_alone()
    {
        var first = await Create(new("ci", "reader"));
        var second = await Roll("ci", TimeSpan.FromHours(1));
        _table.Apply(await Write(s => _table.Revoke(s, s_admin, "ci")));
        Failure(first).ShouldNotBeNull();
        Failure(second).ShouldBe("revoked");
        await Refused(ErrorCode.AlreadyExists, s => _table.Create(s, s_admin, new("ci", "reader")));
        var third = await Roll("ci", TimeSpan.FromHours(1));
        Failure(third).ShouldBeNull();
        Failure(second).ShouldBe("unknown", "a roll with grace must not revive what was revoked");
    }

    [Fact]
    public async Task An_expired_token_is_not_rolled_but_its_name_is_free()
    {
        var old = await Create(new("ci", "reader") { ExpiresIn = TimeSpan.FromMinutes(1) });
        await Refused(ErrorCode.AlreadyExists, s => _table.Create(s, s_admin, new("ci", "viewer")));
        _time.Advance(TimeSpan.FromMinutes(2));
        await Refused(ErrorCode.Conflict, s => _table.Roll(s, s_admin, "ci", TimeSpan.Zero));
        var anew = await Create(new("ci", "viewer"));
        Failure(old).ShouldBe("unknown");
        Failure(anew).ShouldBeNull();
        _table.All.Count.ShouldBe(1);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Created_tokens_that_have_ended_make_room()
    {
        await Create(new("brief", "reader") { ExpiresIn = TimeSpan.FromMinutes(1) });
        await CopiesAsync("brief", TokenTable.MaxCreated - 1);
        await Refused(ErrorCode.Conflict, s => _table.Create(s, s_admin, new("more", "reader")), "20,000 created tokens");
        _table.Apply(await Write(s => _table.Revoke(s, s_admin, "brief5")));
        await Create(new("more", "reader"));
        await Refused(ErrorCode.Conflict, s => _table.Create(s, s_admin, new("another", "reader")));
        _time.Advance(TimeSpan.FromMinutes(1));
        await Create(new("another", "reader"));
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Of_created_tokens_that_have_ended_the_newest_stay_in_memory_and_a_roll_finds_the_others_too()
    {
        var old = await Create(new("old", "reader"));
        _table.Apply(await Write(s => _table.Revoke(s, s_admin, "old")));
        _time.Advance(TimeSpan.FromSeconds(1));
        await Create(new("brief", "reader") { ExpiresIn = TimeSpan.FromMinutes(1) });
        await CopiesAsync("brief", TokenRecord.MaxEnded - 1);
        _time.Advance(TimeSpan.FromMinutes(1));
        _table.Find("old").ShouldNotBeNull();
        _table.ForgetEnded();
        (_table.All.Count, _table.Find("old")).ShouldBe((TokenRecord.MaxEnded, null));
        await LoadAsync();
        (_table.All.Count, _table.Find("old")).ShouldBe((TokenRecord.MaxEnded, null), "nor are they loaded");
        await Refused(ErrorCode.AlreadyExists, s => _table.Create(s, s_admin, new("old", "reader")), "(revoked)");
        var rolled = await Roll("old", TimeSpan.FromMinutes(5));
        Failure(rolled).ShouldBeNull();
        Failure(old).ShouldBe("unknown");
    }

    [Fact]
    public async Task Bad_requests_are_refused_with_the_field()
    {
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("Ci", "reader")), "name:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("-x", "reader")), "name:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new(new string('a', 65), "reader")), "name:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("ci", "raeder")), "role:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("ci", "reader") { Cidrs = ["10.0.0.1/8"] }), "cidrs:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("ci", "reader") { Services = [] }), "services:");
        await Refused(ErrorCode.BadRequest, s => _table.Create(s, s_admin, new("ci", "reader") { ExpiresIn = TimeSpan.Zero }), "expiresIn:");
        await Refused(ErrorCode.NotFound, s => _table.Roll(s, s_admin, "nobody", TimeSpan.Zero), "nobody");
        await Refused(ErrorCode.NotFound, s => _table.Revoke(s, s_admin, "nobody"), "nobody");
        await Create(new("ci", "reader"));
        await Refused(ErrorCode.BadRequest, s => _table.Roll(s, s_admin, "ci", TimeSpan.FromDays(8)), "grace:");
    }

    [Fact]
    public async Task A_token_of_more_than_the_caller_holds_is_neither_made_nor_rolled_nor_revoked_by_it()
    {
        await Create(new("boss", "admin"));
        var limited = new Caller { TokenId = "x", Name = "lead", Grant = new Grant(RoleSet.BuiltIn.Find("admin")!, new() { Services = GlobSet.Of("payments") }) };
        await Refused(ErrorCode.Forbidden, s => _table.Create(s, limited, new("mine", "admin")));
        await Refused(ErrorCode.Forbidden, s => _table.Roll(s, limited, "boss", TimeSpan.Zero));
        await Refused(ErrorCode.Forbidden, s => _table.Revoke(s, limited, "boss"));
        await Write(s => _table.Create(s, limited, new("mine", "reader") { Services = ["payments"] }));
    }

    [Fact]
    public async Task Changes_applied_out_of_order_leave_the_last_written_one()
    {
        await Create(new("ci", "reader"));
        var first = await Write(s => _table.Roll(s, s_admin, "ci", TimeSpan.Zero));
        var second = await Write(s => _table.Roll(s, s_admin, "ci", TimeSpan.Zero));
        _table.Apply(second);
        _table.Apply(first);
        Failure(second.Token!.Value.Export()).ShouldBeNull();
        Failure(first.Token!.Value.Export()).ShouldBe("unknown");
    }

    [Fact]
    public async Task A_kill_tells_everybody_to_look_whatever_it_ended()
    {
        await using var bench = await TokenBench.CreateAsync();
        var told = 0;
        bench.Authenticator.Changed += () => told++;
        await bench.KillAsync(new KillScope { Issuer = "https://issuer.example" });
        told.ShouldBe(1, "no service token");
        // Committed, and not known here yet.
        await bench.WriteAsync(s => bench.Table.Create(s, TokenBench.Admin, new("new", "reader")));
        (await bench.KillAsync(new KillScope())).ShouldBe(["new"]);
        told.ShouldBe(2);
        await bench.CreateTokenAsync("known");
        await bench.KillAsync(new KillScope());
        told.ShouldBe(3);
    }

    [Fact]
    public async Task A_token_whose_role_is_gone_may_do_nothing_and_says_why()
    {
        var roles = RoleSet.From([new() { Name = "gone", Permissions = ["config:read"] }]);
        var bearer = (await Write(s => new TokenTable(roles, _time).Create(s, s_admin, new("ci", "gone")))).Token!.Value.Export();
        await _database.ReadAsync(s => { _table.Load(s); return true; }, default);
        var caller = Ask(_authenticator, bearer, null).Caller!;
        caller.Can(Permission.ConfigRead, Subject.Of("a", "b")).ShouldBeFalse();
        caller.Explain(Permission.ConfigRead, Subject.Of("a", "b")).Reason.ShouldContain("'gone' does not exist");
    }

    [Fact]
    public async Task Only_a_hash_is_stored_and_nothing_prints_the_secret()
    {
        var change = await Write(s => _table.Create(s, s_admin, new("ci", "reader")));
        var secret = change.Token!.Value.Export()[17..];
        change.ToString().ShouldNotContain(secret);
        change.Record.ToString().ShouldBe($"ci ({change.Record.Id})");
        await _database.DisposeAsync();
        foreach (var file in Directory.GetFiles(_place.Directory.Path))
            System.Text.Encoding.Latin1.GetString(await File.ReadAllBytesAsync(file)).ShouldNotContain(secret[..20]);
    }

    // The same token so many times more, as it is in the database.
    private async Task CopiesAsync(string name, int count)
    {
        await _database.WriteAsync(s => s.Execute($"""
            WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count})
            INSERT INTO tokens (id, name, hash, role, created_at, created_by, expires_at)
            SELECT 'x' || n, name || n, hash, role, created_at, created_by, expires_at FROM tokens, n WHERE name = '{name}'
            """), CancellationToken.None);
        await LoadAsync();
    }

    private Task<bool> LoadAsync() => _database.WriteAsync(s => { _table.Load(s); return true; }, CancellationToken.None);

    private string? Failure(string? bearer, string? address = null) => Ask(_authenticator, bearer, address is null ? null : IPAddress.Parse(address)).Failure;

    // Of service tokens the answer is there at once.
    private static Authentication Ask(Authenticator authenticator, string? bearer, IPAddress? address) =>
        authenticator.AuthenticateAsync(bearer, address, CancellationToken.None).AsTask().GetAwaiter().GetResult();

    private async Task<string> Create(NewToken request) => Applied(await Write(s => _table.Create(s, s_admin, request)));

    private async Task<string> Roll(string name, TimeSpan grace) => Applied(await Write(s => _table.Roll(s, s_admin, name, grace)));

    private string Applied(TokenChange change)
    {
        _table.Apply(change);
        return change.Token!.Value.Export();
    }

    private Task<TokenChange> Write(Func<SqlSession, TokenChange> write) => _database.WriteAsync(write, CancellationToken.None);

    private async Task Refused(ErrorCode code, Func<SqlSession, TokenChange> write, string detail = "")
    {
        var error = await Should.ThrowAsync<LockstepException>(() => Write(write));
        error.Code.ShouldBe(code);
        error.Message.ShouldContain(detail);
    }
}
