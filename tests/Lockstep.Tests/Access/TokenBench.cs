using System.Net;
using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;

namespace Lockstep.Tests.Access;

/// <summary>Tokens and roles over a database of their own, changed as the gate changes them: written, committed, applied.</summary>
internal sealed class TokenBench : IAsyncDisposable
{
    public static readonly Caller Admin = Caller.System("test");

    private readonly TestDatabase _place;
    private readonly JwtIssuers _issuers = new([], TimeProvider.System, NullLogger<JwtIssuers>.Instance);

    private TokenBench(TestDatabase place, Database database) => (_place, Database, Table) = (place, database, new TokenTable(RoleSet.BuiltIn, Time));

    public ManualTime Time { get; } = new();

    public Database Database { get; }

    public TokenTable Table { get; private set; }

    public Kills Kills { get; private set; } = new();

    public Authenticator Authenticator { get; private set; } = null!;

    public static async Task<TokenBench> CreateAsync()
    {
        var place = TestDatabase.Sqlite();
        var bench = new TokenBench(place, await place.OpenAsync());
        await bench.RestartAsync();
        return bench;
    }

    /// <summary>All from the database, as after a restart.</summary>
    public Task RestartAsync()
    {
        (Table, Kills) = (new TokenTable(RoleSet.BuiltIn, Time), new Kills());
        Authenticator = new Authenticator(Table, Kills, _issuers, Time);
        return Database.ReadAsync(s => { Authenticator.Load(s); return true; }, default);
    }

    public async Task<string> CreateTokenAsync(string name, string role = "reader", Func<NewToken, NewToken>? with = null)
    {
        var request = new NewToken(name, role);
        return Applied(await WriteAsync(s => Table.Create(s, Admin, with is null ? request : with(request))));
    }

    public async Task<string> DeriveAsync(string bearer, Func<DerivedToken, DerivedToken>? with = null)
    {
        var request = new DerivedToken();
        var caller = CallerOf(bearer);
        return Applied(await WriteAsync(s => Table.Derive(s, caller, with is null ? request : with(request))));
    }

    public async Task<string> RollAsync(string name, TimeSpan grace = default) => Applied(await WriteAsync(s => Table.Roll(s, Admin, name, grace)));

    public async Task RevokeAsync(string name) => Table.Apply(await WriteAsync(s => Table.Revoke(s, Admin, name)));

    public async Task<DateTimeOffset> RenewAsync(string bearer, TimeSpan? expiresIn = null)
    {
        var caller = CallerOf(bearer);
        var change = await WriteAsync(s => Table.Renew(s, caller, expiresIn));
        Table.Apply(change);
        return change.Record.ExpiresAt!.Value;
    }

    public async Task<IReadOnlyList<string>> KillAsync(KillScope scope, Caller? by = null)
    {
        var (ended, kill) = await WriteAsync(s => (Table.Kill(s, by ?? Admin, scope), Kills.Write(s, scope, Time.GetUtcNow(), by ?? Admin, Table.Roles)));
        Authenticator.Apply(kill, ended);
        return [.. ended.Select(e => e.Record.Name)];
    }

    /// <summary>Makes, changes or (null) deletes a role of the database.</summary>
    public async Task SetRoleAsync(string name, RoleOptions? options)
    {
        var (stored, order) = await WriteAsync(s => WriteRole(s, name, options));
        Table.ApplyRoles(stored, order);
    }

    public (IReadOnlyList<StoredRole> Stored, long Order) WriteRole(SqlSession session, string name, RoleOptions? options)
    {
        if (options is null) RoleStore.Delete(session, name);
        else RoleStore.Save(session, new StoredRole(options with { Name = name }, Time.GetUtcNow(), "test"));
        return (RoleStore.All(session), Table.NextOrder());
    }

    public Task<T> WriteAsync<T>(Func<SqlSession, T> write) => Database.WriteAsync(write, CancellationToken.None);

    public string Applied(TokenChange change)
    {
        Table.Apply(change);
        return change.Token!.Value.Export();
    }

    /// <summary>Of service tokens the answer is there at once.</summary>
    public Authentication Ask(string? bearer, string? address = null) =>
        Authenticator.AuthenticateAsync(bearer, address is null ? null : IPAddress.Parse(address), CancellationToken.None).AsTask().GetAwaiter().GetResult();

    public string? Failure(string? bearer, string? address = null) => Ask(bearer, address).Failure;

    public Caller CallerOf(string bearer, string? address = null) => Ask(bearer, address).Caller ?? throw new ShouldAssertException("it is dead: " + Failure(bearer, address));

    public async Task RefusedAsync(ErrorCode code, Func<Task> what, string detail = "")
    {
        var error = await Should.ThrowAsync<LockstepException>(what);
        error.Code.ShouldBe(code, error.Message);
        error.Message.ShouldContain(detail);
    }

    public async ValueTask DisposeAsync()
    {
        await Database.DisposeAsync();
        await _issuers.DisposeAsync();
        _place.Dispose();
    }
}
