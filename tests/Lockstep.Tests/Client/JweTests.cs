using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

public sealed class JweTests : IDisposable
{
    // The point of RFC 7518 Appendix C: Alice's ephemeral key and Bob's.
    private const string AliceX = "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0";
    private const string AliceY = "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps";
    private const string BobX = "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ";
    private const string BobY = "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck";
    private const string BobD = "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw";

    private readonly ECDiffieHellman _key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);

    public void Dispose() => _key.Dispose();

    [Fact]
    public void The_key_derivation_is_that_of_RFC_7518_Appendix_C()
    {
        byte[] z =
        [
            158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
        ];
        using var bob = ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, D = Bytes(BobD), Q = Point(BobX, BobY) });
        using var alice = ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = Point(AliceX, AliceY) });
        using var alicePublic = alice.PublicKey;
        bob.DeriveRawSecretAgreement(alicePublic).ShouldBe(z);
        Base64Url.EncodeToString(Jwe.DeriveKey(z, "A128GCM", "Alice"u8, "Bob"u8, 128)).ShouldBe("VqqN6vgjbSBcIijNcacQGg");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100)]
    [InlineData(70_000)]
    public void What_is_sealed_opens_with_the_key_alone(int length)
    {
        var plaintext = RandomNumberGenerator.GetBytes(length);
        var recipient = Jwe.ParsePublicKey(Jwe.ExportPublicKey(_key));
        var sealedValue = Jwe.Seal(recipient, plaintext);
        sealedValue.Split('.').Length.ShouldBe(5);
        sealedValue.Split('.')[1].ShouldBe("");
        Jwe.Open(_key, sealedValue).ShouldBe(plaintext);
        (Jwe.Seal(recipient, plaintext).Split('.')[0] == sealedValue.Split('.')[0]).ShouldBeFalse("each has its own ephemeral key");
        using var other = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        Refused(() => Jwe.Open(other, sealedValue));
    }

    [Fact]
    public void A_change_of_any_character_is_refused()
    {
        var text = Jwe.Seal(_key.ExportParameters(false).Q, "a secret"u8);
        const string alphabet = "Ab9_-.=+/ \n\0é";
        for (var i = 0; i < text.Length; i++)
        {
            foreach (var c in alphabet)
                if (c != text[i]) Refused(() => Jwe.Open(_key, text[..i] + c + text[(i + 1)..]));
            Refused(() => Jwe.Open(_key, text.Remove(i, 1)));
            Refused(() => Jwe.Open(_key, text[..i]));
        }
        // The last character of the tag carries spare bits: each value has one text.
        foreach (var c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
            if (c != text[^1]) Refused(() => Jwe.Open(_key, text[..^1] + c));
        Refused(() => Jwe.Open(_key, text + "."));
        Refused(() => Jwe.Open(_key, new string('a', Jwe.MaxLength + 1)));
    }

    [Fact]
    public void An_own_public_key_reads_back_without_its_private_part()
    {
        var text = Jwe.ExportPublicKey(_key);
        var json = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(text));
        json.ShouldStartWith("""{"kty":"EC","crv":"P-256","x":""");
        json.ShouldNotContain("\"d\"");
        Jwe.ParsePublicKey(text).X.ShouldBe(_key.ExportParameters(false).Q.X);
    }

    [Fact]
    public void Hostile_public_keys_are_refused()
    {
        string Jwk(string members) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes("{" + members + "}"));
        string Point(string x, string y) => $"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"";
        Should.NotThrow(() => Jwe.ParsePublicKey(Jwk(Point(BobX, BobY) + ",\"kid\":\"1\",\"use\":\"enc\"")));
        string Flipped(string coordinate)
        {
            var bytes = Bytes(coordinate);
            bytes[31] ^= 1;
            return Base64Url.EncodeToString(bytes);
        }

        // p + the x of a point: the same residue, but not below p.
        var zero = Base64Url.EncodeToString(new byte[32]);
        var all = Base64Url.EncodeToString(Enumerable.Repeat((byte)255, 32).ToArray());
        string[] hostile =
        [
            "", "x", "%%%", "e30", "e30=", "bnVsbA", "W10", "IiI", new string('A', 5000), Jwk(Point(BobX, BobY)) + "=", " " + Jwk(Point(BobX, BobY)),
            Jwk(Point(BobX, BobY) + $",\"d\":\"{BobD}\""),
            Jwk(Point(BobX, BobY) + ",\"d\":null"),
            Jwk(Point(BobX, BobY) + $",\"x\":\"{BobX}\""),
            Jwk(Point(BobX, Flipped(BobY))), Jwk(Point(Flipped(BobX), BobY)), Jwk(Point(zero, zero)), Jwk(Point(all, all)), Jwk(Point(BobX, AliceY)),
            Jwk(Point(BobX[..^1], BobY)), Jwk(Point("AAAA" + BobX, BobY)), Jwk(Point("", "")), Jwk(Point(BobX + "=", BobY)),
            Jwk(Point(BobX, BobY).Replace("P-256", "P-384", StringComparison.Ordinal)),
            Jwk(Point(BobX, BobY).Replace("P-256", "secp256k1", StringComparison.Ordinal)),
            Jwk(Point(BobX, BobY).Replace("\"EC\"", "\"OKP\"", StringComparison.Ordinal)),
            Jwk(Point(BobX, BobY).Replace("\"EC\"", "1", StringComparison.Ordinal)),
            Jwk($"\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":[\"{BobX}\"],\"y\":\"{BobY}\""),
            Jwk("\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"\\ud800\",\"y\":\"\\ud800\""),
            Jwk("\"kty\":\"EC\",\"crv\":\"P-256\""),
            Base64Url.EncodeToString([0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D]),
            Base64Url.EncodeToString(Encoding.UTF8.GetBytes(new string('[', 700))),
        ];
        foreach (var text in hostile) Refused(() => Jwe.ParsePublicKey(text), text);
    }

    [Fact]
    public void Hostile_headers_are_refused()
    {
        var text = Jwe.Seal(_key.ExportParameters(false).Q, "a secret"u8);
        var rest = text[text.IndexOf('.', StringComparison.Ordinal)..];
        var header = Encoding.UTF8.GetString(Base64Url.DecodeFromChars(text.Split('.')[0]));
        string[] hostile =
        [
            "", "{}", "null", "[]", "{", header.Replace("ECDH-ES", "dir", StringComparison.Ordinal), header.Replace("ECDH-ES", "ECDH-ES+A256KW", StringComparison.Ordinal),
            header.Replace("A256GCM", "A128GCM", StringComparison.Ordinal), header.Replace("A256GCM", "A256CBC-HS512", StringComparison.Ordinal),
            header.Replace("\"alg\"", "\"zip\":\"DEF\",\"alg\"", StringComparison.Ordinal), header.Replace("\"alg\"", "\"crit\":[\"exp\"],\"alg\"", StringComparison.Ordinal),
            header.Replace("\"alg\"", "\"alg\":\"ECDH-ES\",\"alg\"", StringComparison.Ordinal), header.Replace("\"alg\"", "\"apu\":1,\"alg\"", StringComparison.Ordinal),
            header.Replace("\"alg\"", "\"apu\":\"=\",\"alg\"", StringComparison.Ordinal), header.Replace("\"alg\"", "\"apu\":\"QQ\",\"alg\"", StringComparison.Ordinal),
            header.Replace("\"alg\"", $"\"pad\":\"{new string('x', 4000)}\",\"alg\"", StringComparison.Ordinal),
            header.Replace("epk", "jwk", StringComparison.Ordinal), header + " ",
        ];
        foreach (var item in hostile) Refused(() => Jwe.Open(_key, Base64Url.EncodeToString(Encoding.UTF8.GetBytes(item)) + rest), item);
        using var larger = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP384);
        Refused(() => Jwe.Open(larger, text));
    }

    private static byte[] Bytes(string text) => Base64Url.DecodeFromChars(text);

    private static ECPoint Point(string x, string y) => new() { X = Bytes(x), Y = Bytes(y) };

    private static void Refused(Action action, string? what = null)
    {
        var error = Should.Throw<LockstepException>(action, what);
        error.Code.ShouldBe(ErrorCode.BadRequest);
    }
}
