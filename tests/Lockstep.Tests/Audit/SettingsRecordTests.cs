using Lockstep.Audit;
using Lockstep.Settings;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

public sealed class SettingsRecordTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    private static readonly VaultTransitOptions s_vault = new() { Address = new Uri("https://vault.example.com"), Key = "k", AppRole = new VaultAppRole("/role", "/secret", "approle") };

    private static readonly ServerOptions s_options = new()
    {
        Data = "/data",
        Database = "postgres://a:one@db.example.com/x",
        MasterKey = new MasterKeyOptions { VaultTransit = s_vault, Previous = new MasterKeyOptions { VaultTransit = s_vault } },
        Config = new ConfigOptions { Url = "https://ann@git.example.com/c?a=1", Credentials = new GitCredentials { PasswordFile = "/one" } },
        Issuers = [new IssuerOptions { Issuer = "https://login.example.com", Login = new LoginOptions("cli", ["openid"]) }],
    };

    [Fact]
    public async Task What_is_printed_cut_down_is_compared_whole()
    {
        (string Name, ServerOptions Options)[] changes =
        [
            ("database", s_options with { Database = "postgres://a:two@db.example.com/x" }),
            ("masterKey", s_options with { MasterKey = s_options.MasterKey with { VaultTransit = s_vault with { Namespace = "n" } } }),
            ("masterKey", s_options with { MasterKey = s_options.MasterKey with { VaultTransit = s_vault with { AppRole = s_vault.AppRole! with { SecretIdFile = "/x" } } } }),
            ("masterKey", s_options with { MasterKey = s_options.MasterKey with { Previous = new MasterKeyOptions { VaultTransit = s_vault with { CaFile = "/ca" } } } }),
            ("config.url", s_options with { Config = s_options.Config with { Url = "https://bob@git.example.com/c?a=1" } }),
            ("config.url", s_options with { Config = s_options.Config with { Url = "https://ann@git.example.com/c?a=2" } }),
            ("config.credentials", s_options with { Config = s_options.Config with { Credentials = new GitCredentials { PasswordFile = "/two" } } }),
            ("access.issuers[0].login", s_options with { Issuers = [s_options.Issuers[0] with { Login = new LoginOptions("cli", ["openid", "groups"]) }] }),
        ];
        await using var fixture = await SqliteAsync();
        await CompareAsync(fixture, s_options);
        foreach (var (name, changed) in changes)
        {
            var before = (await fixture.AllAsync()).Count;
            await CompareAsync(fixture, changed);
            await CompareAsync(fixture, changed);
            (await fixture.AllAsync()).Skip(before).Select(e => e.Detail).ShouldBe([name]);
            await CompareAsync(fixture, s_options);
        }
    }

    [Fact]
    public async Task That_there_is_nothing_to_compare_with_is_entered_but_for_the_very_first_start()
    {
        await using var fixture = await SqliteAsync();
        await CompareAsync(fixture, s_options);
        (await fixture.AllAsync()).ShouldBeEmpty();
        await fixture.Log.RecordAsync(Entry(), s_none);
        await fixture.ExecuteAsync("DELETE FROM meta WHERE name = 'settings:node-1'");
        await CompareAsync(fixture, s_options);
        (await fixture.AllAsync())[^1].Detail!.ShouldStartWith("compared with nothing");
        await CompareAsync(fixture, s_options);
        (await fixture.AllAsync()).Count.ShouldBe(2);
    }

    private static Task CompareAsync(AuditFixture fixture, ServerOptions options) => SettingsRecord.CompareAsync(fixture.Log, options, fixture.Time.GetUtcNow(), s_none);
}
