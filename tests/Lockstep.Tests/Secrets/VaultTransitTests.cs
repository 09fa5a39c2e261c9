using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

/// <summary>A master key that a Vault keeps encrypted, against the Transit engine's wire.</summary>
[Trait("speed", "medium")]
public sealed class VaultTransitTests : IAsyncLifetime
{
    private static readonly CancellationToken s_none = CancellationToken.None;
    private readonly TestDatabase _place = TestDatabase.Sqlite();
    private FakeVault _vault = null!;
    private Database _database = null!;

    public async Task InitializeAsync()
    {
        _vault = await FakeVault.StartAsync();
        _database = await _place.OpenAsync();
        Write("token", FakeVault.Token + "\n");
        Write("role", "the-role\n");
        Write("secret", "the-secret");
    }

    public async Task DisposeAsync()
    {
        await _database.DisposeAsync();
        await _vault.DisposeAsync();
        _place.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_first_start_makes_a_key_and_the_next_has_it_decrypted(bool appRole)
    {
        var options = appRole ? Options() with { TokenFile = null, AppRole = new(_place.Directory.File("role"), _place.Directory.File("secret"), "approle") } : Options() with { Namespace = "team" };
        using var first = await OpenAsync(options);
        using var second = await OpenAsync(options);
        second.Derive("x").ShouldBe(first.Derive("x"));
        (await _database.ReadAsync(s => Meta.GetText(s, "master-key-sealed"), s_none)).ShouldStartWith("vault:v1:");
        File.Exists(_place.Directory.File("master.key")).ShouldBeFalse();
        _vault.Calls.Select(c => c.Path).ShouldContain("/v1/transit/decrypt/lockstep");
        _vault.Calls.ShouldAllBe(c => c.Namespace == options.Namespace && (c.Token == FakeVault.Token || c.Path.EndsWith("/login", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task The_key_of_one_database_does_not_open_in_another()
    {
        (await OpenAsync(Options())).Dispose();
        await _database.WriteAsync(s => { Meta.SetText(s, "database-id", "another"); return true; }, s_none);
        var refusal = await RefusedAsync(Options(), ErrorCode.Conflict);
        refusal.Message.ShouldContain("message authentication failed");
    }

    [Fact]
    public async Task Another_Transit_key_is_refused_before_anything_is_served_and_a_missing_one_is_named()
    {
        (await OpenAsync(Options())).Dispose();
        _vault.AddKey("other");
        (await RefusedAsync(Options() with { Key = "other" }, ErrorCode.Conflict)).Message.ShouldContain("transit/other");
        (await RefusedAsync(Options() with { Key = "gone" }, ErrorCode.Conflict)).Message.ShouldContain("encryption key not found");
        (await RefusedAsync(Options() with { Mount = "elsewhere" }, ErrorCode.Conflict)).Message.ShouldContain("no handler for route");
    }

    [Fact]
    public async Task A_wrong_token_and_a_wrong_role_are_told_without_repeating_them()
    {
        Write("token", "hvs.wrong-and-secret");
        var refusal = await RefusedAsync(Options(), ErrorCode.Conflict);
        refusal.Message.ShouldContain("permission denied");
        refusal.ToString().ShouldNotContain("wrong-and-secret");
        Write("secret", "not-it");
        refusal = await RefusedAsync(Options() with { TokenFile = null, AppRole = new(_place.Directory.File("role"), _place.Directory.File("secret"), "approle") }, ErrorCode.Conflict);
        refusal.Message.ShouldContain("invalid role or secret ID");
        refusal.ToString().ShouldNotContain("not-it");
        (await RefusedAsync(Options() with { TokenFile = _place.Directory.File("nothing") }, ErrorCode.Conflict)).Message.ShouldContain("tokenFile");
    }

    [Fact]
    public async Task A_Vault_that_is_sealed_for_a_moment_is_asked_again()
    {
        var sealedFor = 2;
        _vault.Misbehave = async context =>
        {
            if (Interlocked.Decrement(ref sealedFor) < 0) return false;
            await FakeVault.WriteAsync(context, 503, new { errors = new[] { "Vault is sealed" } });
            return true;
        };
        (await OpenAsync(Options())).Dispose();
    }

    [Fact]
    public async Task A_Vault_that_stays_sealed_or_is_dead_ends_the_start_with_what_to_do()
    {
        _vault.Misbehave = async context => { await FakeVault.WriteAsync(context, 503, new { errors = new[] { "Vault is sealed" } }); return true; };
        (await RefusedAsync(Options(), ErrorCode.Unavailable)).Message.ShouldContain("Vault is sealed");
        var options = Options();
        await _vault.DisposeAsync();
        (await RefusedAsync(options, ErrorCode.Unavailable)).Message.ShouldContain("nothing answers there");
    }

    [Theory]
    [InlineData(200, "not json at all")]
    [InlineData(200, "[]")]
    [InlineData(200, "{}")]
    [InlineData(200, """{"data":{"ciphertext":7}}""")]
    [InlineData(200, """{"data":{"ciphertext":"plain text"}}""")]
    [InlineData(200, """{"ciphertext":"vault:v1:abcdefgh"}""")]
    [InlineData(204, "")]
    public async Task An_answer_that_is_no_Vaults_is_refused(int status, string body)
    {
        _vault.Misbehave = async context => { await FakeVault.WriteAsync(context, status, body); return true; };
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain("is not a Vault's");
        (await _database.ReadAsync(s => Meta.GetData(s, "master-key-check"), s_none)).ShouldBeNull();
    }

    [Fact]
    public async Task An_endless_answer_is_cut_and_a_redirect_is_not_followed()
    {
        _vault.Misbehave = async context =>
        {
            var part = new byte[64 * 1024];
            part.AsSpan().Fill((byte)' ');
            for (var i = 0; i < 64 && !context.RequestAborted.IsCancellationRequested; i++) await context.Response.Body.WriteAsync(part, context.RequestAborted);
            return true;
        };
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain("is not a Vault's");
        _vault.Misbehave = context =>
        {
            context.Response.StatusCode = 307;
            context.Response.Headers.Location = "https://elsewhere.example/v1/transit/encrypt/lockstep";
            return Task.FromResult(true);
        };
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain("https://elsewhere.example");
    }

    [Fact]
    public async Task A_certificate_is_trusted_by_the_authority_that_caFile_names_and_by_no_other()
    {
        using var authority = new TestAuthority();
        using var other = new TestAuthority();
        Write("ca.pem", authority.RootPem);
        Write("other.pem", other.RootPem);
        using var certificate = authority.IssueByRoot();
        await using var vault = await FakeVault.StartAsync(certificate);
        var options = Options() with { Address = new Uri($"https://localhost:{vault.Address.Port}") };
        (await RefusedAsync(options with { CaFile = _place.Directory.File("other.pem") }, ErrorCode.Unavailable)).Message.ShouldContain("its certificate is not trusted");
        (await RefusedAsync(options with { CaFile = _place.Directory.File("none.pem") }, ErrorCode.Conflict)).Message.ShouldContain("caFile");
        (await OpenAsync(options with { CaFile = _place.Directory.File("ca.pem") })).Dispose();
    }

    [Fact]
    public async Task A_Vault_that_never_answers_is_given_up()
    {
        _vault.Misbehave = async context => { await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted); return true; };
        (await RefusedAsync(Options(), ErrorCode.Unavailable)).Message.ShouldContain("did not answer in time");
    }

    [Fact]
    public async Task Moving_from_a_file_to_a_Vault_and_changing_the_key_there_and_moving_back()
    {
        var file = new MasterKeyOptions { File = _place.Directory.File("master.key") };
        byte[] ring;
        using (var key = await MasterKey.OpenAsync(file, _place.Directory.Path, _database, s_none)) ring = await RingAsync(key);
        var transit = new MasterKeyOptions { VaultTransit = Options() };
        using (var key = await MasterKey.OpenAsync(transit with { Previous = file }, _place.Directory.Path, _database, s_none))
        {
            await key.FinishAsync((_, _) => { }, s_none);
            (await RingAsync(key)).ShouldBe(ring);
        }
        using (var key = await OpenAsync(Options()))
        {
            var before = await _database.ReadAsync(s => Meta.GetText(s, "master-key-sealed"), s_none);
            key.Stepping = step => { if (step == "batch") throw new IOException(step); };
            await Should.ThrowAsync<IOException>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none));
            (await _database.ReadAsync(s => Meta.GetText(s, "master-key-sealed"), s_none)).ShouldBe(before);
        }
        using (var key = await OpenAsync(Options()))
        {
            key.IsChanging.ShouldBeTrue();
            await key.FinishAsync((_, _) => { }, s_none);
            (await RingAsync(key)).ShouldBe(ring);
        }
        var back = new MasterKeyOptions { File = _place.Directory.File("new.key"), Previous = transit };
        using (var key = await MasterKey.OpenAsync(back, _place.Directory.Path, _database, s_none))
        {
            await key.FinishAsync((_, _) => { }, s_none);
            (await RingAsync(key)).ShouldBe(ring);
        }
        (await _database.ReadAsync(s => Meta.GetText(s, "master-key-sealed"), s_none)).ShouldBeNull();
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain("masterKey.previous");
    }

    [Theory]
    [InlineData(403, """{"errors":["permission denied"]}""", "does not decrypt")]
    [InlineData(400, """{"errors":["no such key here"]}""", "does not decrypt it again: it answered 'no such key here'")]
    [InlineData(200, """{"data":{"plaintext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}""", "does not decrypt it again")]
    public async Task A_Vault_that_does_not_decrypt_what_it_encrypted_is_given_no_key(int status, string body, string told)
    {
        Func<Microsoft.AspNetCore.Http.HttpContext, Task<bool>> encryptsOnly = async context =>
        {
            if (!context.Request.Path.Value!.Contains("/decrypt/", StringComparison.Ordinal)) return false;
            await FakeVault.WriteAsync(context, status, body);
            return true;
        };
        _vault.Misbehave = encryptsOnly;
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain(told);
        (await _database.ReadAsync(s => Meta.GetData(s, "master-key-check"), s_none)).ShouldBeNull();
        _vault.Misbehave = null;
        using var key = await OpenAsync(Options());
        _vault.Misbehave = encryptsOnly;
        (await Should.ThrowAsync<LockstepException>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none))).Message.ShouldContain(told);
        (await _database.ReadAsync(MasterKeyState.IsChanging, s_none)).ShouldBeFalse();
        key.IsChanging.ShouldBeFalse();
    }

    [Fact]
    public async Task A_Vault_that_learned_associated_data_decrypts_what_it_encrypted_without()
    {
        _vault.LeavesOutBinding = true;
        using var first = await OpenAsync(Options());
        _vault.LeavesOutBinding = false;
        using var second = await OpenAsync(Options());
        second.Derive("x").ShouldBe(first.Derive("x"));
    }

    [Fact]
    public async Task An_answer_that_repeats_the_request_is_not_told()
    {
        _vault.Misbehave = async context =>
        {
            await FakeVault.WriteAsync(context, 403, new { errors = new[] { "bad request: " + _vault.Calls[^1].Body } });
            return true;
        };
        var refusal = await RefusedAsync(Options(), ErrorCode.Conflict);
        refusal.Message.ShouldContain("403: Forbidden");
        refusal.Message.ShouldNotContain("plaintext");
        _vault.Misbehave = async context => { await FakeVault.WriteAsync(context, 403, new { errors = new[] { "no access for " + FakeVault.Token[..20] } }); return true; };
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldNotContain(FakeVault.Token[..20]);
    }

    [Theory]
    [InlineData("plain text")]
    [InlineData("vault:v1:a\",\"batch_input\":[],\"x\":\"")]
    [InlineData("vault:v1:abc\\u0022")]
    public async Task A_ciphertext_that_is_none_is_not_sent(string text)
    {
        (await OpenAsync(Options())).Dispose();
        await _database.WriteAsync(s => { Meta.SetText(s, "master-key-sealed", text); return true; }, s_none);
        var calls = _vault.Calls.Count;
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain("no ciphertext of a Vault's");
        _vault.Calls.Count.ShouldBe(calls);
    }

    [Theory]
    [InlineData(200, """{"data":{"ciphertext":"\ud800vault:v1:abcdefgh"}}""", "is not a Vault's")]
    [InlineData(200, """{"da\ud800ta":{"ciphertext":"vault:v1:abcdefgh"}}""", "is not a Vault's")]
    [InlineData(403, """{"errors":["\ud800"]}""", "403: Forbidden")]
    public async Task An_answer_with_half_a_character_is_no_Vaults(int status, string body, string told)
    {
        _vault.Misbehave = async context => { await FakeVault.WriteAsync(context, status, body); return true; };
        (await RefusedAsync(Options(), ErrorCode.Conflict)).Message.ShouldContain(told);
    }

    private Task<byte[]> RingAsync(MasterKey key) => _database.WriteAsync(s => new KeyRing(key).GetOrCreate(s, "one"), s_none);

    private VaultTransitOptions Options() => new() { Address = _vault.Address, Key = "lockstep", TokenFile = _place.Directory.File("token") };

    private Task<MasterKey> OpenAsync(VaultTransitOptions options) =>
        MasterKey.OpenAsync(new MasterKeyOptions { VaultTransit = options }, _place.Directory.Path, _database, s_none);

    private async Task<LockstepException> RefusedAsync(VaultTransitOptions options, ErrorCode code)
    {
        var refusal = await Should.ThrowAsync<LockstepException>(OpenAsync(options));
        refusal.Code.ShouldBe(code, refusal.Message);
        refusal.ToString().ShouldNotContain(FakeVault.Token);
        return refusal;
    }

    private void Write(string name, string text) => File.WriteAllText(_place.Directory.File(name), text);
}
