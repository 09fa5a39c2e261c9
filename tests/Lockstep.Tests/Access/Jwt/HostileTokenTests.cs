using System.Security.Cryptography;
using System.Text;
using Lockstep.Access.Jwt;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access.Jwt;

/// <summary>The table of tokens that want in, beside the ones nearest to them that may.</summary>
public sealed class HostileTokenTests : IAsyncLifetime
{
    private const int Seed = 20300102;

    private static readonly ManualTime s_time = new();

    private TestIssuer _issuer = null!;
    private TestIssuer _other = null!;
    private JwtIssuers _issuers = null!;

    private static long Now => s_time.GetUtcNow().ToUnixTimeSeconds();

    public async Task InitializeAsync()
    {
        _issuer = await TestIssuer.StartAsync();
        _other = await TestIssuer.StartAsync();
        _issuer.Keys.Add(new TestKey("rsa-2", "RS256"));
        _issuer.Keys.Add(new TestKey("enc", "RS256", ""","use":"enc" """));
        _issuer.Keys.Add(new TestKey("wrap", "RS256", ""","key_ops":["wrapKey"]"""));
        _issuer.Keys.Add(new TestKey("weak", "RS256", bits: 1024));
        _issuer.Keys.Add(new TestKey("ps", "PS256", ""","alg":"PS256" """));
        _issuer.Keys.Add(new TestKey("hs", "RS256"));
        _issuer.Keys[^1].Jwk = $$"""{"kty":"oct","kid":"hs","k":"{{TestKey.Encode("secret")}}"}""";
        _issuer.Keys.Add(new TestKey("leaked", "RS256"));
        _issuer.Keys[^1].Jwk = _issuer.Keys[^1].Jwk[..^1] + ",\"d\":\"AQAB\"}";
        _issuers = new JwtIssuers([_issuer.Options(), _other.Options()], s_time, NullLogger<JwtIssuers>.Instance);
    }

    public async Task DisposeAsync()
    {
        await _issuers.DisposeAsync();
        await _issuer.DisposeAsync();
        await _other.DisposeAsync();
    }

    [Fact]
    public async Task Every_hostile_token_is_refused_for_its_own_reason()
    {
        var rows = Rows().ToList();
        rows.Count.ShouldBeGreaterThanOrEqualTo(80);
        var wrong = new List<string>();
        foreach (var (name, token, expected) in rows)
        {
            var (failure, identity) = await _issuers.VerifyAsync(token, CancellationToken.None);
            if (failure != expected || identity is not null == (expected != JwtFailure.None)) wrong.Add($"{name}: {failure.Word()}, expected {expected.Word()}");
        }
        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task No_mutation_of_a_good_token_is_accepted()
    {
        var random = new Random(Seed);
        var good = _issuer.Keys.Where(k => k.Id is "rsa-1" or "ec-1" or "ec-2" or "ps").Select(k => _issuer.Token(s_time.GetUtcNow(), k)).ToList();
        foreach (var token in good) (await _issuers.VerifyAsync(token, CancellationToken.None)).Failure.ShouldBe(JwtFailure.None);
        for (var i = 0; i < 4000; i++)
        {
            var token = good[random.Next(good.Count)];
            var mutated = Mutate(token, good, random);
            if (good.Contains(mutated)) continue;
            (await _issuers.VerifyAsync(mutated, CancellationToken.None)).Identity.ShouldBeNull($"seed {Seed}, step {i}: {token} became {mutated}");
        }
    }

    [Fact]
    public async Task Bytes_of_any_kind_are_refused_and_never_a_defect()
    {
        var random = new Random(Seed);
        for (var i = 0; i < 3000; i++)
        {
            var claims = _issuer.Claims(s_time.GetUtcNow()).ToCharArray();
            for (var n = random.Next(1, 6); n > 0; n--) claims[random.Next(claims.Length)] = "{}[]\",:\\u0d8\0é1e-."[random.Next(18)];
            // Signed by the right key: what is wrong is in the claims alone.
            var token = _issuer.Keys[1].Sign("""{"alg":"ES256","kid":"ec-1"}""", new string(claims));
            var (failure, identity) = await _issuers.VerifyAsync(token, CancellationToken.None);
            if (failure == JwtFailure.None) identity!.Issuer.ShouldBe(_issuer.Url, $"seed {Seed}, step {i}");
        }
    }

    private static string Mutate(string token, List<string> others, Random random)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
        var at = random.Next(token.Length);
        var letter = Alphabet[random.Next(Alphabet.Length)].ToString();
        var parts = token.Split('.');
        var theirs = others[random.Next(others.Count)].Split('.');
        return random.Next(6) switch
        {
            0 => token[..at] + letter + token[(at + 1)..],
            1 => token[..at] + token[(at + 1)..],
            2 => token[..at] + letter + token[at..],
            3 => token[..at],
            // A last letter's spare bits are where two spellings of the same bytes differ.
            4 => token[..^1] + letter,
            _ => string.Join('.', parts[0], random.Next(2) == 0 ? theirs[1] : parts[1], theirs[2]),
        };
    }

    private IEnumerable<(string Name, string Token, JwtFailure Expected)> Rows() => [.. Forms(), .. Heads(), .. Signatures(), .. Claims(), .. Times()];

    private string Good => _issuer.Token(s_time.GetUtcNow());

    private IEnumerable<(string, string, JwtFailure)> Forms()
    {
        var (good, parts) = (Good, Good.Split('.'));
        var claims = _issuer.Claims(s_time.GetUtcNow());
        yield return ("good", good, JwtFailure.None);
        yield return ("empty", "", JwtFailure.Malformed);
        yield return ("two parts", $"{parts[0]}.{parts[1]}", JwtFailure.Malformed);
        yield return ("no signature", $"{parts[0]}.{parts[1]}.", JwtFailure.Malformed);
        yield return ("four parts", good + ".e30", JwtFailure.Malformed);
        yield return ("five parts, as an encrypted one", $"{good}.{parts[1]}.{parts[2]}", JwtFailure.Malformed);
        yield return ("dot at the end", good + ".", JwtFailure.Malformed);
        yield return ("empty claims", $"{parts[0]}..{parts[2]}", JwtFailure.Malformed);
        yield return ("padding", $"{parts[0]}.{parts[1]}.{parts[2]}==", JwtFailure.Malformed);
        yield return ("white space", $"{parts[0]}.{parts[1]}. {parts[2]}", JwtFailure.Malformed);
        yield return ("line break", good + "\n", JwtFailure.Malformed);
        yield return ("plain base64", good.Replace('-', '+').Replace('_', '/') + "+", JwtFailure.Malformed);
        yield return ("spare bits in the signature", $"{parts[0]}.{parts[1]}.{WithSpareBits(parts[2])}", JwtFailure.Malformed);
        yield return ("spare bits in signed claims", Resigned($"{parts[0]}.{WithSpareBits(TestKey.Encode(Sized(claims, 1)))}"), JwtFailure.Malformed);
        yield return ("letters beyond ASCII", good[..^1] + "é", JwtFailure.Malformed);
        yield return ("full-width letters", good[..^1] + "\uff21", JwtFailure.Malformed);
        yield return ("too long", _issuer.Token(s_time.GetUtcNow(), null, ("pad", new string('a', 17 * 1024))), JwtFailure.Malformed);
        yield return ("byte order mark", Signed("\ufeff" + claims), JwtFailure.Malformed);
        yield return ("not UTF-8", Resigned($"{parts[0]}.{TestKey.Encode([.. Encoding.UTF8.GetBytes(claims[..^1]), .. ",\"x\":\""u8, 0xC3, 0x28, .. "\"}"u8])}"), JwtFailure.Malformed);
        yield return ("half a surrogate pair", Signed(claims[..^1] + ""","x":"\ud800"}"""), JwtFailure.Malformed);
        yield return ("half a surrogate pair in a name", Signed(claims[..^1] + ""","\udc00":1}"""), JwtFailure.Malformed);
        yield return ("claims are a list", Signed("[" + claims + "]"), JwtFailure.Malformed);
        yield return ("claims are a text", Signed("\"iss\""), JwtFailure.Malformed);
        yield return ("something after the claims", Signed(claims + "{}"), JwtFailure.Malformed);
        yield return ("a comment", Signed(claims[..^1] + "/**/}"), JwtFailure.Malformed);
        yield return ("a comma too many", Signed(claims[..^1] + ",}"), JwtFailure.Malformed);
        yield return ("a claim twice", Signed(claims[..^1] + ",\"sub\":\"admin\"}"), JwtFailure.Malformed);
        yield return ("a claim twice by escapes", Signed(claims[..^1] + ""","\u0073ub":"admin"}"""), JwtFailure.Malformed);
        yield return ("a nested claim twice", Signed(claims[..^1] + ""","a":{"b":1,"b":2}}"""), JwtFailure.Malformed);
        yield return ("too deep", Signed(claims[..^1] + ",\"a\":" + new string('[', 40) + new string(']', 40) + "}"), JwtFailure.Malformed);
        yield return ("a claim by escapes once", Signed(claims.Replace("\"sub\"", "\"\\u0073ub\"", StringComparison.Ordinal)), JwtFailure.None);
    }

    private IEnumerable<(string, string, JwtFailure)> Heads()
    {
        foreach (var none in new[] { "none", "None", "NONE", "nOnE" })
        {
            yield return ("alg " + none, WithHead($$"""{"alg":"{{none}}"}"""), JwtFailure.AlgorithmNotAllowed);
            yield return ($"alg {none}, unsigned", WithHead($$"""{"alg":"{{none}}"}""").Split('.') is var p ? $"{p[0]}.{p[1]}." : "", JwtFailure.Malformed);
        }
        foreach (var alg in new[] { "HS256", "HS512", "rs256", "RS1", "RS512", "ES256K", "EdDSA", "dir", "" })
            yield return ("alg " + alg, WithHead($$"""{"alg":"{{alg}}","kid":"rsa-1"}"""), JwtFailure.AlgorithmNotAllowed);
        foreach (var pem in new[] { _issuer.Rsa.Rsa!.ExportSubjectPublicKeyInfoPem(), _issuer.Rsa.Rsa.ExportRSAPublicKeyPem(), _issuer.Rsa.Jwk })
            yield return ("HS256 with the public key", Hmac(Encoding.UTF8.GetBytes(pem), "rsa-1"), JwtFailure.AlgorithmNotAllowed);
        yield return ("HS256 with a published secret", Hmac("secret"u8.ToArray(), "hs"), JwtFailure.AlgorithmNotAllowed);
        yield return ("no alg", WithHead("""{"kid":"rsa-1"}"""), JwtFailure.Malformed);
        yield return ("alg is a list", WithHead("""{"alg":["RS256"],"kid":"rsa-1"}"""), JwtFailure.Malformed);
        yield return ("alg twice", WithHead("""{"alg":"RS256","alg":"none","kid":"rsa-1"}"""), JwtFailure.Malformed);
        yield return ("alg twice by escapes", WithHead("""{"alg":"RS256","\u0061lg":"none","kid":"rsa-1"}"""), JwtFailure.Malformed);
        yield return ("crit", WithHead("""{"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1}"""), JwtFailure.Malformed);
        yield return ("crit, empty", WithHead("""{"alg":"RS256","kid":"rsa-1","crit":[]}"""), JwtFailure.Malformed);
        yield return ("b64 false", WithHead("""{"alg":"RS256","kid":"rsa-1","b64":false,"crit":["b64"]}"""), JwtFailure.Malformed);
        yield return ("b64 false without crit", WithHead("""{"alg":"RS256","kid":"rsa-1","b64":false}"""), JwtFailure.Malformed);
        yield return ("zip", WithHead("""{"alg":"RS256","kid":"rsa-1","zip":"DEF"}"""), JwtFailure.Malformed);
        yield return ("a token in a token", WithHead("""{"alg":"RS256","kid":"rsa-1","cty":"JWT"}"""), JwtFailure.Malformed);
        yield return ("an encrypted one", WithHead("""{"alg":"RS256","kid":"rsa-1","enc":"A256GCM"}"""), JwtFailure.Malformed);
        foreach (var typ in new[] { "\"JWE\"", "\"logout+jwt\"", "\"dpop+jwt\"", "\"secevent+jwt\"", "\"JWT \"", "null", "1" })
            yield return ("typ " + typ, WithHead($$"""{"alg":"RS256","kid":"rsa-1","typ":{{typ}}}"""), JwtFailure.Malformed);
        foreach (var typ in new[] { "jwt", "JWT", "at+jwt", "AT+JWT", "application/at+jwt", "application/JWT" })
            yield return ("typ " + typ, WithHead($$"""{"alg":"RS256","kid":"rsa-1","typ":"{{typ}}"}"""), JwtFailure.None);
        yield return ("no typ", WithHead("""{"alg":"RS256","kid":"rsa-1"}"""), JwtFailure.None);
        foreach (var kid in new[] { "../../dev/null", "' OR 1=1 --", "http://127.0.0.1/key", "rsa-1\\u0000", "RSA-1", "rsa-1 " })
            yield return ("kid " + kid, WithHead($$"""{"alg":"RS256","kid":"{{kid}}"}"""), JwtFailure.UnknownKey);
        yield return ("kid is a number", WithHead("""{"alg":"RS256","kid":1}"""), JwtFailure.Malformed);
        yield return ("kid is empty", WithHead("""{"alg":"RS256","kid":""}"""), JwtFailure.Malformed);
        yield return ("kid is long", WithHead($$"""{"alg":"RS256","kid":"{{new string('k', 600)}}"}"""), JwtFailure.Malformed);
        yield return ("no kid, several keys fit", WithHead("""{"alg":"RS256"}"""), JwtFailure.UnknownKey);
        yield return ("no kid, one key fits", _issuer.Keys[2].Sign("""{"alg":"ES384"}""", _issuer.Claims(s_time.GetUtcNow())), JwtFailure.None);
    }

    private IEnumerable<(string, string, JwtFailure)> Signatures()
    {
        var claims = _issuer.Claims(s_time.GetUtcNow());
        var parts = Good.Split('.');
        TestKey Key(string id) => _issuer.Keys.Single(k => k.Id == id);
        using var mine = new TestKey("rsa-1", "RS256");
        using var curve = new TestKey("ec-1", "ES384");
        yield return ("somebody's key by the right kid", mine.Sign("""{"alg":"RS256","kid":"rsa-1"}""", claims), JwtFailure.BadSignature);
        yield return ("the key comes along", mine.Sign($$"""{"alg":"RS256","kid":"rsa-1","jwk":{{mine.Jwk}}}""", claims), JwtFailure.BadSignature);
        yield return ("the key comes along, named anew", mine.Sign($$"""{"alg":"RS256","kid":"mine","jwk":{{mine.Jwk.Replace("rsa-1", "mine", StringComparison.Ordinal)}}}""", claims), JwtFailure.UnknownKey);
        yield return ("the keys are said to be elsewhere", mine.Sign($$"""{"alg":"RS256","kid":"rsa-1","jku":"{{_other.Url}}/jwks"}""", claims), JwtFailure.BadSignature);
        yield return ("the certificate comes along", mine.Sign("""{"alg":"RS256","kid":"rsa-1","x5c":["MIIB"],"x5u":"https://127.0.0.1/"}""", claims), JwtFailure.BadSignature);
        yield return ("another trusted issuer's key", _other.Rsa.Sign("""{"alg":"RS256","kid":"rsa-1"}""", claims), JwtFailure.BadSignature);
        yield return ("a key for encryption", Key("enc").Sign("""{"alg":"RS256","kid":"enc"}""", claims), JwtFailure.UnknownKey);
        yield return ("a key for wrapping", Key("wrap").Sign("""{"alg":"RS256","kid":"wrap"}""", claims), JwtFailure.UnknownKey);
        yield return ("a key of 1024 bits", Key("weak").Sign("""{"alg":"RS256","kid":"weak"}""", claims), JwtFailure.UnknownKey);
        yield return ("a key whose private half is published", Key("leaked").Sign("""{"alg":"RS256","kid":"leaked"}""", claims), JwtFailure.UnknownKey);
        yield return ("RS256 with a key for PS256", Key("ps").Sign("""{"alg":"RS256","kid":"ps"}""", claims), JwtFailure.AlgorithmNotAllowed);
        yield return ("PS256 with a key for PS256", Key("ps").Sign("""{"alg":"PS256","kid":"ps"}""", claims), JwtFailure.None);
        yield return ("PS256 said, RS256 done", WithHead("""{"alg":"PS256","kid":"rsa-1"}"""), JwtFailure.BadSignature);
        yield return ("ES256 with an RSA key's name", Key("ec-1").Sign("""{"alg":"ES256","kid":"rsa-1"}""", claims), JwtFailure.AlgorithmNotAllowed);
        yield return ("ES256 with a key of P-384", curve.Sign("""{"alg":"ES256","kid":"ec-2"}""", claims), JwtFailure.AlgorithmNotAllowed);
        yield return ("ES384 with a key of P-256", curve.Sign("""{"alg":"ES384","kid":"ec-1"}""", claims), JwtFailure.AlgorithmNotAllowed);
        yield return ("another curve's signature", curve.Sign("""{"alg":"ES256","kid":"ec-1"}""", claims), JwtFailure.BadSignature);
        var ec = Key("ec-1").Sign("""{"alg":"ES256","kid":"ec-1"}""", claims);
        var head = ec[..ec.LastIndexOf('.')];
        yield return ("ES256", ec, JwtFailure.None);
        yield return ("zero r and s", $"{head}.{TestKey.Encode(new byte[64])}", JwtFailure.BadSignature);
        yield return ("r and s of ones", $"{head}.{TestKey.Encode([.. Enumerable.Repeat((byte)255, 64)])}", JwtFailure.BadSignature);
        yield return ("DER", $"{head}.{TestKey.Encode(Key("ec-1").Ec!.SignData(Encoding.ASCII.GetBytes(head), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence))}", JwtFailure.BadSignature);
        yield return ("half a signature", $"{head}.{TestKey.Encode(new byte[32])}", JwtFailure.BadSignature);
        yield return ("one byte of signature", $"{parts[0]}.{parts[1]}.AA", JwtFailure.BadSignature);
        yield return ("an RSA signature with a zero before it", $"{parts[0]}.{parts[1]}.{TestKey.Encode([0, .. System.Buffers.Text.Base64Url.DecodeFromChars(parts[2])])}", JwtFailure.BadSignature);
        yield return ("an RSA signature of zeros", $"{parts[0]}.{parts[1]}.{TestKey.Encode(new byte[256])}", JwtFailure.BadSignature);
        yield return ("other claims under it", $"{parts[0]}.{TestKey.Encode(_issuer.Claims(s_time.GetUtcNow(), ("sub", "admin")))}.{parts[2]}", JwtFailure.BadSignature);
        yield return ("another head over it", $"{TestKey.Encode("""{"alg":"RS256","kid":"rsa-1","x":1}""")}.{parts[1]}.{parts[2]}", JwtFailure.BadSignature);
    }

    private IEnumerable<(string, string, JwtFailure)> Claims()
    {
        foreach (var iss in new object?[] { null, _issuer.Url + "/", _issuer.Url.ToUpperInvariant(), " " + _issuer.Url, _issuer.Url + "\u0000", "https://evil.example.com", "", 1, new[] { _issuer.Url } })
            yield return ($"iss {iss}", With(("iss", iss)), JwtFailure.UntrustedIssuer);
        foreach (var sub in new object?[] { null, "", new string('s', 256), "a\nb", "a\u0000", "a\u202eb", 1, new[] { "a" } })
            yield return ($"sub {sub}", With(("sub", sub)), JwtFailure.InvalidClaims);
        foreach (var aud in new object?[] { null, "", "lock", "lockstep2", "LOCKSTEP", "lockstep ", "*", Array.Empty<string>(), new[] { "other" } })
            yield return ($"aud {aud}", With(("aud", aud)), JwtFailure.WrongAudience);
        foreach (var aud in new object[] { new { lockstep = 1 }, 1, true, new object[] { "lockstep", 1 }, new object[] { new[] { "lockstep" } } })
            yield return ($"aud {aud}", With(("aud", aud)), JwtFailure.InvalidClaims);
        yield return ("aud of several", With(("aud", new[] { "other", "lockstep" })), JwtFailure.None);
        yield return ("jti is a number", With(("jti", 1)), JwtFailure.InvalidClaims);
        yield return ("jti is long", With(("jti", new string('j', 300))), JwtFailure.None);
    }

    private IEnumerable<(string, string, JwtFailure)> Times()
    {
        foreach (var claim in new[] { "exp", "iat" })
        {
            yield return ("no " + claim, With((claim, null)), JwtFailure.InvalidClaims);
            foreach (var raw in new[] { $"\"{Now + 600}\"", "null", "true", "[1]", "-1", "1e10", "1E400", "9223372036854775808", "253402300800", "99999999999999999999999999", "1893553445.12345678901234567890", "{}" })
                yield return ($"{claim} {raw}", Raw(claim, raw), JwtFailure.InvalidClaims);
        }
        yield return ("exp with a fraction", Raw("exp", $"{Now + 600}.5"), JwtFailure.None);
        yield return ("nbf is a text", With(("nbf", $"{Now}")), JwtFailure.InvalidClaims);
        yield return ("expired for 29 s", With(("iat", Now - 600), ("exp", Now - 29)), JwtFailure.None);
        yield return ("expired for 30 s", With(("iat", Now - 600), ("exp", Now - 30)), JwtFailure.Expired);
        yield return ("expired for 31 s", With(("iat", Now - 600), ("exp", Now - 31)), JwtFailure.Expired);
        yield return ("expired in 1970", With(("iat", 0), ("exp", 1)), JwtFailure.Expired);
        yield return ("not before 29 s from now", With(("nbf", Now + 29)), JwtFailure.None);
        yield return ("not before 31 s from now", With(("nbf", Now + 31)), JwtFailure.NotYetValid);
        yield return ("issued 29 s from now", With(("iat", Now + 29)), JwtFailure.None);
        yield return ("issued 31 s from now", With(("iat", Now + 31)), JwtFailure.NotYetValid);
        yield return ("ends before it begins", With(("iat", Now), ("exp", Now - 1)), JwtFailure.InvalidClaims);
        yield return ("ends as it begins", With(("iat", Now), ("exp", Now)), JwtFailure.InvalidClaims);
        yield return ("lives for a day", With(("iat", Now), ("exp", Now + 86400)), JwtFailure.None);
        yield return ("lives for longer than a day", With(("iat", Now), ("exp", Now + 86401)), JwtFailure.TooOld);
        yield return ("lives for ever", With(("exp", 253402300799)), JwtFailure.TooOld);
        yield return ("issued a day ago", With(("iat", Now - 86431), ("exp", Now - 1)), JwtFailure.TooOld);
    }

    private string With(params (string, object?)[] claims) => _issuer.Token(s_time.GetUtcNow(), null, claims);

    private string Raw(string claim, string value)
    {
        var claims = _issuer.Claims(s_time.GetUtcNow(), (claim, null));
        return Signed($"{claims[..^1]},\"{claim}\":{value}}}");
    }

    private string Signed(string claims) => _issuer.Rsa.Sign("""{"alg":"RS256","kid":"rsa-1"}""", claims);

    private string WithHead(string head) => _issuer.Rsa.Sign(head, _issuer.Claims(s_time.GetUtcNow()));

    private string Resigned(string signed) => _issuer.Rsa.SignRaw(signed);

    private string Hmac(byte[] key, string kid)
    {
        var signed = $"{TestKey.Encode($$"""{"alg":"HS256","kid":"{{kid}}"}""")}.{TestKey.Encode(_issuer.Claims(s_time.GetUtcNow()))}";
        return $"{signed}.{TestKey.Encode(HMACSHA256.HashData(key, Encoding.ASCII.GetBytes(signed)))}";
    }

    // The same bytes by another spelling: the last letter stands for bits that no byte has.
    private static string WithSpareBits(string text)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        (text.Length % 4).ShouldBeInRange(2, 3);
        return text[..^1] + Alphabet[Alphabet.IndexOf(text[^1], StringComparison.Ordinal) ^ 1];
    }

    // JSON of a length that base64 does not divide.
    private static string Sized(string json, int rest) => json + new string(' ', (3 + rest - (json.Length % 3)) % 3);
}
