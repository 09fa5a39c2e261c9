using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access.Jwt;

[Trait("speed", "medium")]
public sealed class IssuerKeysTests : IAsyncLifetime
{
    private readonly ManualTime _time = new();
    private readonly CapturedLogs _logs = new();
    private readonly LoggerFactory _loggers = new();
    private readonly List<JwtIssuers> _made = [];
    private TestIssuer _issuer = null!;

    public async Task InitializeAsync()
    {
        _loggers.AddProvider(_logs);
        _issuer = await TestIssuer.StartAsync();
    }

    public async Task DisposeAsync()
    {
        foreach (var issuers in _made) await issuers.DisposeAsync();
        await _issuer.DisposeAsync();
        _loggers.Dispose();
    }

    [Fact]
    public async Task A_token_is_verified_once_and_is_the_same_identity_until_it_ends()
    {
        var issuers = Issuers(_issuer.Options());
        var token = Token();
        var first = await issuers.VerifyAsync(token, default);
        first.Failure.ShouldBe(JwtFailure.None);
        var again = issuers.VerifyAsync(token, default);
        again.IsCompletedSuccessfully.ShouldBeTrue();
        (await again).Identity.ShouldBeSameAs(first.Identity);
        _issuer.KeysAsked.ShouldBe(1);
        _time.Advance(TimeSpan.FromSeconds(629));
        (await issuers.VerifyAsync(token, default)).Identity.ShouldBeSameAs(first.Identity);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await issuers.VerifyAsync(token, default)).ShouldBe(new JwtVerification(JwtFailure.Expired, null));
    }

    [Fact]
    public async Task Many_at_once_get_one_identity_and_ask_the_issuer_once()
    {
        var issuers = Issuers(_issuer.Options());
        var token = Token();
        var all = await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => Task.Run(() => issuers.VerifyAsync(token, default).AsTask())));
        all.Select(v => v.Identity).Distinct().Single().ShouldNotBeNull();
        _issuer.KeysAsked.ShouldBe(1);
    }

    [Fact]
    public async Task Whom_no_rule_knows_is_verified_and_takes_no_place()
    {
        var issuers = Issuers(_issuer.Options(new IssuerRoleOptions("groups", "staff", "viewer")));
        var stranger = Token();
        var first = await issuers.VerifyAsync(stranger, default);
        first.Identity.ShouldNotBeNull().Rules.ShouldBeEmpty();
        (await issuers.VerifyAsync(stranger, default)).Identity.ShouldNotBeSameAs(first.Identity);
        var known = _issuer.Token(_time.GetUtcNow(), null, ("groups", "staff"));
        (await issuers.VerifyAsync(known, default)).Identity.ShouldBeSameAs((await issuers.VerifyAsync(known, default)).Identity);
    }

    [Theory]
    [InlineData("true", true)]
    [InlineData("\"true\"", true)]
    [InlineData("false", false)]
    [InlineData("\"false\"", false)]
    [InlineData("1", false)]
    [InlineData("null", false)]
    [InlineData(null, false)]
    public async Task An_address_says_who_somebody_is_only_when_the_issuer_has_seen_to_that(string? verified, bool matches)
    {
        var issuers = Issuers(_issuer.Options(new IssuerRoleOptions("email", "ann@example.com", "admin"), new IssuerRoleOptions("sub", "somebody", "viewer")));
        var claims = _issuer.Claims(_time.GetUtcNow(), ("email", "ann@example.com"));
        if (verified is not null) claims = $"{claims[..^1]},\"email_verified\":{verified}}}";
        var identity = (await issuers.VerifyAsync(_issuer.Rsa.Sign("""{"alg":"RS256","kid":"rsa-1"}""", claims), default)).Identity.ShouldNotBeNull();
        identity.Rules.Select(r => r.Role).ShouldBe(matches ? ["admin", "viewer"] : ["viewer"]);
    }

    [Fact]
    public async Task A_new_key_is_fetched_when_a_token_names_it_but_unknown_names_do_not_make_the_server_ask_more_often()
    {
        var issuers = Issuers(_issuer.Options());
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        using var stranger = new TestKey("stranger", "RS256");
        for (var i = 0; i < 20; i++) await VerifyAsync(issuers, stranger.Sign($$"""{"alg":"RS256","kid":"k{{i}}"}""", _issuer.Claims(_time.GetUtcNow())), JwtFailure.UnknownKey);
        _issuer.KeysAsked.ShouldBe(1);

        _time.Advance(IssuerKeys.Floor);
        _issuer.Keys.Add(new TestKey("rsa-2", "RS256"));
        await VerifyAsync(issuers, Token(_issuer.Keys[^1]), JwtFailure.None);
        _issuer.KeysAsked.ShouldBe(2);

        // Within the floor a key that is newer still has to wait.
        _issuer.Keys.Add(new TestKey("rsa-3", "RS256"));
        await VerifyAsync(issuers, Token(_issuer.Keys[^1]), JwtFailure.UnknownKey);
        _time.Advance(IssuerKeys.Floor);
        await VerifyAsync(issuers, Token(_issuer.Keys[^1]), JwtFailure.None);
        _issuer.KeysAsked.ShouldBe(3);
    }

    [Fact]
    public async Task Tokens_that_hold_do_not_wait_for_the_question_that_an_unknown_key_caused()
    {
        var issuers = Issuers(_issuer.Options());
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        var held = new TaskCompletionSource();
        var asked = new TaskCompletionSource();
        _issuer.Instead = async _ =>
        {
            asked.TrySetResult();
            await held.Task;
            return false;
        };
        _time.Advance(IssuerKeys.Floor);
        using var stranger = new TestKey("stranger", "RS256");
        var unknown = Task.Run(() => issuers.VerifyAsync(Token(stranger), default).AsTask());
        await asked.Task;
        // One that was seen, and one that was not.
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        await VerifyAsync(issuers, Token(_issuer.Keys[1]), JwtFailure.None);
        unknown.IsCompleted.ShouldBeFalse();
        held.SetResult();
        (await unknown).Failure.ShouldBe(JwtFailure.UnknownKey);
    }

    [Fact]
    public async Task A_key_that_the_issuer_takes_back_ends_tokens_that_were_verified_with_it()
    {
        var issuers = Issuers(_issuer.Options());
        var (dies, lives) = (Token(), Token(_issuer.Keys[1]));
        await VerifyAsync(issuers, dies, JwtFailure.None);
        var identity = (await issuers.VerifyAsync(lives, default)).Identity;
        _issuer.Keys[0].Dispose();
        _issuer.Keys[0] = new TestKey("rsa-9", "RS256");
        _time.Advance(IssuerKeys.Floor);
        await VerifyAsync(issuers, Token(_issuer.Keys[0]), JwtFailure.None);
        await VerifyAsync(issuers, dies, JwtFailure.UnknownKey);
        (await issuers.VerifyAsync(lives, default)).Identity.ShouldBeSameAs(identity);
    }

    [Fact]
    public async Task An_issuer_that_was_never_reached_is_unavailable_and_not_asked_again_at_once()
    {
        var issuers = Issuers(_issuer.Options());
        _issuer.Instead = Answer(500, "");
        for (var i = 0; i < 5; i++)
            (await Should.ThrowAsync<LockstepException>(() => issuers.VerifyAsync(Token(), default).AsTask())).Code.ShouldBe(ErrorCode.Unavailable);
        _issuer.Asked.Count.ShouldBe(1);
        _issuer.Instead = null;
        _time.Advance(IssuerKeys.Floor);
        await VerifyAsync(issuers, Token(), JwtFailure.None);
    }

    [Fact]
    public async Task An_issuer_that_is_down_is_served_for_a_day_and_then_unavailable_also_for_tokens_seen_before()
    {
        var issuers = Issuers(_issuer.Options() with { MaxAge = TimeSpan.FromDays(3) });
        var token = _issuer.Token(_time.GetUtcNow(), null, ("exp", _time.GetUtcNow().ToUnixTimeSeconds() + 2 * 86400));
        await VerifyAsync(issuers, token, JwtFailure.None);
        _issuer.Instead = Answer(503, "");
        _time.Advance(IssuerKeys.Lifetime - TimeSpan.FromSeconds(1));
        await VerifyAsync(issuers, token, JwtFailure.None);
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        _time.Advance(TimeSpan.FromSeconds(1));
        (await Should.ThrowAsync<LockstepException>(() => issuers.VerifyAsync(token, default).AsTask())).Code.ShouldBe(ErrorCode.Unavailable);
    }

    public static TheoryData<string, string> WrongAnswers => new()
    {
        { "/jwks", "" },
        { "/jwks", "not json" },
        { "/jwks", """{"keys":[]}""" },
        { "/jwks", """{"keys":{}}""" },
        { "/jwks", """{"keys":[{"kty":"oct","k":"AAAA"}]}""" },
        { "/jwks", """{"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]}""" },
        { "/jwks", "[" + new string(' ', 300 * 1024) + "]" },
        { "/.well-known/openid-configuration", "{}" },
        { "/.well-known/openid-configuration", """{"issuer":"https://evil.example.com","jwks_uri":"{url}/jwks"}""" },
        { "/.well-known/openid-configuration", """{"issuer":"{url}/","jwks_uri":"{url}/jwks"}""" },
        { "/.well-known/openid-configuration", """{"issuer":"{url}"}""" },
        { "/.well-known/openid-configuration", """{"issuer":"{url}","jwks_uri":"http://config.example.com/jwks"}""" },
        { "/.well-known/openid-configuration", """{"issuer":"{url}","jwks_uri":"file:///etc/passwd"}""" },
    };

    [Theory]
    [MemberData(nameof(WrongAnswers))]
    public async Task A_wrong_answer_leaves_the_keys_as_they_were_and_is_logged_once(string path, string body)
    {
        var issuers = Issuers(_issuer.Options());
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        _issuer.Instead = async context => context.Request.Path == path && await Answer(200, body.Replace("{url}", _issuer.Url, StringComparison.Ordinal))(context);
        using var stranger = new TestKey("stranger", "RS256");
        for (var i = 0; i < 3; i++)
        {
            _time.Advance(IssuerKeys.Floor);
            await VerifyAsync(issuers, Token(stranger), JwtFailure.UnknownKey);
        }
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        _logs.Lines.Count(l => l.StartsWith("Warning", StringComparison.Ordinal)).ShouldBe(1);
        _issuer.Instead = null;
        _time.Advance(IssuerKeys.Floor);
        await VerifyAsync(issuers, Token(stranger), JwtFailure.UnknownKey);
        _logs.Lines.Count(l => l.Contains("can be fetched again", StringComparison.Ordinal)).ShouldBe(1);
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        await using var other = await TestIssuer.StartAsync();
        var issuers = Issuers(_issuer.Options());
        _issuer.Instead = context =>
        {
            context.Response.Redirect(other.Url + context.Request.Path);
            return Task.FromResult(true);
        };
        await Should.ThrowAsync<LockstepException>(() => issuers.VerifyAsync(Token(), default).AsTask());
        other.Asked.ShouldBeEmpty();
    }

    [Fact]
    public async Task The_token_for_the_issuer_is_read_anew_and_shown_to_the_issuer_alone()
    {
        using var directory = new TempDirectory();
        var file = directory.File("issuer.token");
        await File.WriteAllTextAsync(file, "first\n");
        await using var other = await TestIssuer.StartAsync();
        _issuer.Instead = async context => context.Request.Path != "/jwks"
            && await Answer(200, $$"""{"issuer":"{{_issuer.Url}}","jwks_uri":"{{other.Url}}/jwks"}""")(context);
        var issuers = Issuers(_issuer.Options() with { TokenFile = file });
        await VerifyAsync(issuers, other.Keys[1].Sign("""{"alg":"ES256","kid":"ec-1"}""", _issuer.Claims(_time.GetUtcNow())), JwtFailure.None);
        _issuer.Shown.ShouldBe(["Bearer first"]);
        other.Shown.ShouldBe([""]);
        await File.WriteAllTextAsync(file, "second");
        await VerifyAsync(Issuers(_issuer.Options() with { TokenFile = file, JwksUri = new Uri(other.Url + "/jwks") }), Token(), JwtFailure.BadSignature);
        other.Shown.ShouldBe(["", "Bearer second"]);
    }

    [Fact]
    public async Task An_issuer_with_a_private_certificate_is_believed_with_its_authority_alone()
    {
        using var authority = new TestAuthority();
        using var stranger = new TestAuthority();
        using var directory = new TempDirectory();
        var pair = authority.Issue("idp");
        foreach (var (name, text) in new[] { ("tls.pem", pair.Certificate), ("tls.key", pair.Key), ("ca.pem", authority.RootPem), ("other.pem", stranger.RootPem), ("empty.pem", "") })
            await File.WriteAllTextAsync(directory.File(name), text);
        using var certificate = new LoadedCertificate(directory.File("tls.pem"), directory.File("tls.key"));
        await using var app = WebHosts.Create(ListenAddress.Loopback(0) with { Https = true }, certificate.Tls, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, 10);
        RunExtensions.Run(app, context => context.Response.WriteAsync($$"""{"keys":[{{_issuer.Rsa.Jwk}}]}"""));
        await app.StartAsync();
        var options = _issuer.Options() with { JwksUri = new Uri(WebHosts.AddressOf(app) + "/keys") };
        // Validity is judged by the time of the world.
        await VerifyAsync(Issuers(options with { CaFile = directory.File("ca.pem") }), Token(), JwtFailure.None);
        await Should.ThrowAsync<LockstepException>(() => Issuers(options).VerifyAsync(Token(), default).AsTask());
        await Should.ThrowAsync<LockstepException>(() => Issuers(options with { CaFile = directory.File("other.pem") }).VerifyAsync(Token(), default).AsTask());
        foreach (var file in new[] { "empty.pem", "missing.pem" })
            Should.Throw<LockstepException>(() => Issuers(options with { CaFile = directory.File(file) })).Code.ShouldBe(ErrorCode.InvalidConfig);
    }

    [Fact]
    public async Task One_issuer_that_hangs_holds_up_nobody_else()
    {
        await using var slow = await TestIssuer.StartAsync();
        var held = new TaskCompletionSource();
        slow.Instead = async _ =>
        {
            await held.Task;
            return false;
        };
        var issuers = Issuers(slow.Options(), _issuer.Options());
        issuers.Start();
        await VerifyAsync(issuers, Token(), JwtFailure.None);
        issuers.Trusts(slow.Url).ShouldBeTrue();
        issuers.Trusts(slow.Url + "/").ShouldBeFalse();
        using var stop = new CancellationTokenSource();
        var waiting = issuers.VerifyAsync(slow.Token(_time.GetUtcNow()), stop.Token).AsTask();
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => waiting);
        held.SetResult();
    }

    [Fact]
    public async Task Keys_are_fetched_again_each_hour_without_being_asked_for()
    {
        var time = new ManualTime(timers: true);
        await using var issuers = new JwtIssuers([_issuer.Options()], time, _loggers.CreateLogger<JwtIssuers>());
        issuers.Start();
        for (var i = 1; i <= 3; i++)
        {
            var times = i;
            await Poll.UntilAsync(() => _issuer.KeysAsked == times && time.Waiting > 0, "the keys are fetched");
            time.Advance(TimeSpan.FromMinutes(66));
        }
    }

    private JwtIssuers Issuers(params IssuerOptions[] options)
    {
        var issuers = new JwtIssuers([.. options.Select(o => o.Roles.IsEmpty ? o with { Roles = [new("sub", "*", "viewer")] } : o)], _time, _loggers.CreateLogger<JwtIssuers>());
        _made.Add(issuers);
        return issuers;
    }

    private string Token(TestKey? key = null) => _issuer.Token(_time.GetUtcNow(), key);

    private static async Task VerifyAsync(JwtIssuers issuers, string token, JwtFailure expected) => (await issuers.VerifyAsync(token, default)).Failure.ShouldBe(expected);

    private static Func<HttpContext, Task<bool>> Answer(int status, string body) => async context =>
    {
        context.Response.StatusCode = status;
        await context.Response.WriteAsync(body);
        return true;
    };

    private sealed class LoadedCertificate(string certificate, string key) : IDisposable
    {
        public TlsCertificate Tls { get; } = TlsCertificate.Open(new TlsOptions(certificate, key), TimeProvider.System, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance);

        public void Dispose() => Tls.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }
}
