using System.Buffers.Text;
using System.Globalization;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Lockstep.Access;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Gate;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.Extensions.Logging.Abstractions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Fuzz;

/// <summary>What proves who somebody is, and what is sealed.</summary>
[Trait("speed", "medium")]
public sealed class TokenFuzz
{
    private const string Base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    [Fact]
    public void Service_tokens_are_those_that_a_second_reading_of_their_form_accepts()
    {
        var fuzzer = new Fuzzer("service tokens", Enumerable.Range(0, 5).Select(_ => ServiceToken.Create().Export()), "lks_", "_", "0", "z", "\u00e9", "\0", " ", "\n");
        fuzzer.Run(text =>
        {
            // Half of them with a checksum that is right, or nothing would get past it.
            if (text.Length > 6 && fuzzer.Random.Next(2) == 0) text = text[..^6] + Checksum(text[..^6]);
            var expected = text.Length == 66 && text.StartsWith("lks_", StringComparison.Ordinal) && text[16] == '_' && (text[4..16] + text[17..]).All(Base62.Contains) && text[60..] == Checksum(text[..60]);
            var isToken = ServiceToken.TryParse(text, out var token);
            isToken.ShouldBe(expected);
            if (!isToken) return false;
            token.Export().ShouldBe(text);
            token.Id.ToString().ShouldBe(text[4..16]);
            token.ToString().ShouldNotContain(text[17..60]);
            token.Matches(token.Hash()).ShouldBeTrue();
            return true;
        });
    }

    [Fact]
    public async Task No_change_of_a_signed_token_is_accepted()
    {
        await using var issuer = await TestIssuer.StartAsync();
        await using var issuers = new JwtIssuers([issuer.Options()], TimeProvider.System, NullLogger<JwtIssuers>.Instance);
        var now = TimeProvider.System.GetUtcNow();
        var genuine = issuer.Keys.Select(k => issuer.Token(now, k, ("groups", new[] { "a", "b" }))).ToArray();
        var fuzzer = new Fuzzer("JWTs", genuine, ".", "eyJ", "eyJhbGciOiJub25lIn0", "=", "-", "_", "\u00e9");
        await fuzzer.RunAsync(async (string text) =>
        {
            // Through the head and the claims too: a change of what they decode to, under the old signature.
            if (!genuine.Contains(text) && fuzzer.Random.Next(2) == 0)
            {
                var parts = genuine[fuzzer.Random.Next(genuine.Length)].Split('.');
                var part = fuzzer.Random.Next(2);
                parts[part] = Base64Url.EncodeToString(fuzzer.Mutate(Base64Url.DecodeFromChars(parts[part])));
                text = string.Join('.', parts);
            }
            var verification = await issuers.VerifyAsync(text, CancellationToken.None);
            (verification.Identity is not null).ShouldBe(genuine.Contains(text), text);
            return verification.Identity is not null;
        });
    }

    [Fact]
    public async Task Claims_that_an_issuer_signed_mean_what_a_second_reading_of_them_says()
    {
        await using var issuer = await TestIssuer.StartAsync();
        await using var issuers = new JwtIssuers([issuer.Options(new IssuerRoleOptions("groups", "ops-*", "admin"), new IssuerRoleOptions("k.n", "prod", "admin"))], TimeProvider.System, NullLogger<JwtIssuers>.Instance);
        var now = TimeProvider.System.GetUtcNow();
        string[] corpus =
        [
            issuer.Claims(now, ("groups", new[] { "a", "ops-1" }), ("nbf", now.ToUnixTimeSeconds()), ("jti", "1")),
            issuer.Claims(now, ("groups", "dev"), ("k", new { n = "prod" }), ("aud", new[] { "x", "lockstep" })),
        ];
        var fuzzer = new Fuzzer("claims", corpus, "\"", "\\ud800", "\\u0000", "{", "}", "[", "]", "null", "1e9", "-1", "1e999", "99999999999", "\"aud\":\"lockstep\",", "\"sub\":1,", "\"groups\":[\"ops-1\"],", ",", ".");
        await fuzzer.RunAsync(async (byte[] claims) =>
        {
            var key = issuer.Keys[1];
            var token = key.SignRaw($"{TestKey.Encode("""{"alg":"ES256","kid":"ec-1"}""")}.{Base64Url.EncodeToString(claims)}");
            if (token.Length > CompactJws.MaxLength) return false;
            var identity = (await issuers.VerifyAsync(token, CancellationToken.None)).Identity;
            if (identity is null) return false;
            // A lenient reader sees the same: what is accepted is read one way only.
            using var json = JsonDocument.Parse(claims, new JsonDocumentOptions { AllowDuplicateProperties = false });
            var root = json.RootElement;
            root.GetProperty("iss").GetString().ShouldBe(issuer.Url);
            root.GetProperty("sub").GetString().ShouldBe(identity.Subject);
            identity.Subject.ShouldNotBeEmpty();
            var audience = root.GetProperty("aud");
            (audience.ValueKind == JsonValueKind.String ? audience.GetString() == "lockstep" : audience.EnumerateArray().Any(a => a.GetString() == "lockstep")).ShouldBeTrue();
            root.GetProperty("exp").GetDecimal().ShouldBeGreaterThan(now.ToUnixTimeSeconds() - 31);
            root.GetProperty("iat").GetDecimal().ShouldBeLessThan(TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 31);
            identity.Rules.Any(r => r.Claim == "groups").ShouldBe(root.TryGetProperty("groups", out var groups)
                && (groups.ValueKind == JsonValueKind.Array ? groups.EnumerateArray().ToArray() : [groups]).Any(g => g.ValueKind == JsonValueKind.String && Ops(g.GetString()!)));
            return true;
        });

        static bool Ops(string text) => text.StartsWith("ops-", StringComparison.Ordinal) && !text.Contains('/', StringComparison.Ordinal);
    }

    [Fact]
    public void Published_keys_are_read_or_refused()
    {
        using var rsa = new TestKey("1", "RS256");
        using var ec = new TestKey("2", "ES384", ",\"use\":\"sig\",\"key_ops\":[\"verify\"],\"alg\":\"ES384\"");
        new Fuzzer("JWKS", [$$"""{"keys":[{{rsa.Jwk}},{{ec.Jwk}}]}"""], "\"", "\\ud800", "{", "}", "null", "\"d\":1,", "\"k\":\"\",", "AAAA", "=", "\"keys\":[],", "\"alg\":\"none\",").Run((byte[] bytes) =>
        {
            if (!KeySet.TryRead(bytes, out var keys)) return false;
            foreach (var key in keys.Keys)
                foreach (var algorithm in IssuerOptions.KnownAlgorithms.Where(key.Fits)) key.Verify(algorithm, bytes, bytes).ShouldBeFalse();
            return true;
        });
    }

    [Fact]
    public void No_change_of_a_sealed_value_opens()
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var genuine = Enumerable.Range(0, 3).Select(i => Jwe.Seal(Jwe.ParsePublicKey(Jwe.ExportPublicKey(key)), Encoding.UTF8.GetBytes(new string('s', i * 40)))).ToArray();
        var fuzzer = new Fuzzer("JWEs", genuine, ".", "..", "eyJ", "=", "-", "_", "\u00e9");
        fuzzer.Run(text =>
        {
            if (!genuine.Contains(text) && fuzzer.Random.Next(2) == 0)
            {
                var parts = genuine[fuzzer.Random.Next(genuine.Length)].Split('.');
                parts[0] = Base64Url.EncodeToString(fuzzer.Mutate(Base64Url.DecodeFromChars(parts[0])));
                text = string.Join('.', parts);
            }
            var opened = Accepts(() => Jwe.Open(key, text), out var bytes);
            opened.ShouldBe(genuine.Contains(text));
            return opened && bytes!.All(b => b == (byte)'s');
        });
    }

    [Fact]
    public void A_public_key_that_is_accepted_is_one_that_can_be_sealed_to_and_reads_back()
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var jwk = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(Jwe.ExportPublicKey(key)));
        new Fuzzer("public keys", [jwk, jwk.Replace("{", "{\"kid\":\"1\",", StringComparison.Ordinal)], "\"", "\\ud800", "\"d\":\"\",", "\"x\":\"\",", "AAAA", "=", "null", "{", "}").Run((byte[] json) =>
        {
            if (!Accepts(() => (object)Jwe.ParsePublicKey(Base64Url.EncodeToString(json)), out var point)) return false;
            using var read = ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = (ECPoint)point! });
            Jwe.ParsePublicKey(Jwe.ExportPublicKey(read)).X.ShouldBe(((ECPoint)point!).X);
            Jwe.Seal((ECPoint)point!, "x"u8).ShouldNotBeEmpty();
            return true;
        });
    }

    [Fact]
    public void No_cursor_of_a_list_can_be_made_by_who_reads_it()
    {
        var cursors = new ListCursors(RandomNumberGenerator.GetBytes(32));
        var genuine = new[] { cursors.Seal("a/b"), cursors.Seal(new string('x', 255)) };
        new Fuzzer("list cursors", genuine, "~", "=", "-", "_", "A").Run(text =>
        {
            if (!Accepts(() => cursors.Open(text), out var id)) return false;
            if (text.StartsWith('~')) Opened(text).ShouldBeOneOf([.. genuine.Select(Opened)]);
            else id.ShouldBe(text);
            return true;
        });

        // Base64url has spellings of the same bytes.
        static string Opened(string text) => Convert.ToHexString(Base64Url.DecodeFromChars(text.AsSpan(1)));
    }

    /// <summary>Whether it ends well; a refusal must be one that tells the user what is wrong.</summary>
    internal static bool Accepts<T>(Func<T> read, out T? result)
    {
        try
        {
            result = read();
            return true;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.BadRequest)
        {
            e.Message.ShouldNotBeNullOrEmpty();
            result = default;
            return false;
        }
    }

    // CRC-32 bit by bit, and base62 by division of one large number.
    private static string Checksum(string text)
    {
        var crc = uint.MaxValue;
        foreach (var b in Encoding.Latin1.GetBytes(text))
        {
            crc ^= b;
            for (var bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xEDB88320 & (0 - (crc & 1)));
        }
        var (number, digits) = (new BigInteger(~crc), "");
        for (var i = 0; i < 6; i++, number /= 62) digits = Base62[(int)(number % 62)].ToString(CultureInfo.InvariantCulture) + digits;
        return digits;
    }
}
