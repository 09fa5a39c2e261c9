using System.Buffers.Binary;
using System.Buffers.Text;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Lockstep.Client;

/// <summary>
/// Values sealed to one reader: JWE in compact form (RFC 7516) with <c>ECDH-ES</c> on P-256 and <c>A256GCM</c> (RFC 7518 §4.6, §5.3), an
/// ephemeral key for each. Nothing else is accepted.
/// </summary>
internal static class Jwe
{
    /// <summary>The longest key text and the longest sealed value that are looked at.</summary>
    public const int MaxKeyLength = 1024;
    public const int MaxLength = 1024 * 1024;

    private const int CoordinateBytes = 32;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const int MaxHeaderLength = 2048;
    private const string Algorithm = "ECDH-ES";
    private const string Encryption = "A256GCM";

    private static readonly BigInteger s_p = BigInteger.Parse("0FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF", System.Globalization.NumberStyles.HexNumber, null);
    private static readonly BigInteger s_b = BigInteger.Parse("05AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B", System.Globalization.NumberStyles.HexNumber, null);
    private static readonly JsonDocumentOptions s_strict = new() { AllowDuplicateProperties = false, MaxDepth = 4 };

    /// <summary>The public part of <paramref name="key"/> as the base64url of its JWK: what <c>Lockstep-Seal-To</c> carries.</summary>
    public static string ExportPublicKey(ECDiffieHellman key) => Base64Url.EncodeToString(PublicJwk(key.ExportParameters(false).Q));

    /// <summary>Reads what <see cref="ExportPublicKey"/> writes: an EC key on P-256 without a private part.</summary>
    /// <exception cref="LockstepException">bad-request with what is wrong.</exception>
    public static ECPoint ParsePublicKey(string base64UrlJwk)
    {
        if (base64UrlJwk.Length > MaxKeyLength) throw Bad($"the public key is longer than {MaxKeyLength} characters");
        var json = Decode(base64UrlJwk) ?? throw Bad("the public key is not the base64url of a JWK");
        using var jwk = ParseObject(json) ?? throw Bad("the public key is not a JWK (a JSON object, each member once)");
        return PointOf(jwk.RootElement) ?? throw Bad("the public key must be a JWK with kty EC, crv P-256, x and y of a point on that curve, and no private part");
    }

    /// <summary>Seals <paramref name="plaintext"/> so that only the holder of the private part of <paramref name="recipient"/> can open it.</summary>
    public static string Seal(ECPoint recipient, ReadOnlySpan<byte> plaintext)
    {
        using var ephemeral = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var header = Base64Url.EncodeToString(Header(ephemeral.ExportParameters(false).Q));
        var key = AgreeOn(ephemeral, recipient, [], []);
        Span<byte> nonce = stackalloc byte[NonceBytes];
        RandomNumberGenerator.Fill(nonce);
        var ciphertext = new byte[plaintext.Length];
        Span<byte> tag = stackalloc byte[TagBytes];
        using (var aes = new AesGcm(key, TagBytes))
            aes.Encrypt(nonce, plaintext, ciphertext, tag, Encoding.ASCII.GetBytes(header));
        CryptographicOperations.ZeroMemory(key);
        return $"{header}..{Base64Url.EncodeToString(nonce)}.{Base64Url.EncodeToString(ciphertext)}.{Base64Url.EncodeToString(tag)}";
    }

    /// <summary>Opens what was sealed to <paramref name="key"/>.</summary>
    /// <exception cref="LockstepException">bad-request: it is malformed, was altered, or was sealed to another key.</exception>
    public static byte[] Open(ECDiffieHellman key, string jwe)
    {
        if (jwe.Length > MaxLength) throw Bad("the sealed value is too long");
        var parts = jwe.Split('.', 6);
        if (parts.Length != 5 || parts[1].Length != 0 || parts[0].Length > MaxHeaderLength) throw Bad("the sealed value is not a compact JWE with ECDH-ES");
        var (header, nonce, ciphertext, tag) = (Decode(parts[0]), Decode(parts[2]), Decode(parts[3]), Decode(parts[4]));
        if (header is null || nonce is not { Length: NonceBytes } || ciphertext is null || tag is not { Length: TagBytes })
            throw Bad("the sealed value is not a compact JWE with A256GCM");
        var (sender, apu, apv) = ParseHeader(header);
        var contentKey = AgreeOn(key, sender, apu, apv);
        var plaintext = new byte[ciphertext.Length];
        try
        {
            using var aes = new AesGcm(contentKey, TagBytes);
            aes.Decrypt(nonce, ciphertext, tag, plaintext, Encoding.ASCII.GetBytes(parts[0]));
            return plaintext;
        }
        catch (AuthenticationTagMismatchException e)
        {
            throw Bad("the sealed value was altered, or was sealed to another key", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(contentKey);
        }
    }

    /// <summary>The Concat KDF of NIST SP 800-56A as RFC 7518 §4.6.2 uses it, for keys of up to 256 bits: one round of SHA-256.</summary>
    internal static byte[] DeriveKey(ReadOnlySpan<byte> agreed, string algorithm, ReadOnlySpan<byte> apu, ReadOnlySpan<byte> apv, int bits)
    {
        using var sha = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        AppendNumber(sha, 1);
        sha.AppendData(agreed);
        AppendWithLength(sha, Encoding.ASCII.GetBytes(algorithm));
        AppendWithLength(sha, apu);
        AppendWithLength(sha, apv);
        AppendNumber(sha, bits);
        return sha.GetHashAndReset()[..(bits / 8)];
    }

    private static byte[] AgreeOn(ECDiffieHellman own, ECPoint other, ReadOnlySpan<byte> apu, ReadOnlySpan<byte> apv)
    {
        using var peer = ECDiffieHellman.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = other });
        using var peerKey = peer.PublicKey;
        byte[] agreed;
        try
        {
            agreed = own.DeriveRawSecretAgreement(peerKey);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw Bad("the sealed value and the key are not of one curve", e);
        }
        var key = DeriveKey(agreed, Encryption, apu, apv, 256);
        CryptographicOperations.ZeroMemory(agreed);
        return key;
    }

    private static (ECPoint Sender, byte[] Apu, byte[] Apv) ParseHeader(byte[] json)
    {
        using var header = ParseObject(json) ?? throw Bad("the sealed value's header is not a JSON object");
        var root = header.RootElement;
        if (Text(root, "alg") != Algorithm || Text(root, "enc") != Encryption) throw Bad("the sealed value is not of ECDH-ES and A256GCM");
        if (root.TryGetProperty("zip", out _) || root.TryGetProperty("crit", out _)) throw Bad("the sealed value asks for compression or an extension");
        var sender = (root.TryGetProperty("epk", out var epk) ? PointOf(epk) : null) ?? throw Bad("the sealed value has no ephemeral key on P-256");
        byte[] Party(string name) => !root.TryGetProperty(name, out _) ? []
            : (Text(root, name) is { } text ? Decode(text) : null) ?? throw Bad($"the sealed value's {name} is not base64url");
        return (sender, Party("apu"), Party("apv"));
    }

    private static ECPoint? PointOf(JsonElement jwk)
    {
        if (jwk.ValueKind != JsonValueKind.Object || Text(jwk, "kty") != "EC" || Text(jwk, "crv") != "P-256" || jwk.TryGetProperty("d", out _)) return null;
        if (Coordinate(jwk, "x") is not { } x || Coordinate(jwk, "y") is not { } y || !IsOnCurve(x, y)) return null;
        return new ECPoint { X = x, Y = y };
    }

    private static byte[]? Coordinate(JsonElement jwk, string name) =>
        Text(jwk, name) is { } text && Decode(text) is { Length: CoordinateBytes } bytes ? bytes : null;

    /// <summary>y² = x³ − 3x + b (mod p). A point off the curve would leak the private key piece by piece, so it is not left to the platform.</summary>
    private static bool IsOnCurve(byte[] xBytes, byte[] yBytes)
    {
        var (x, y) = (new BigInteger(xBytes, isUnsigned: true, isBigEndian: true), new BigInteger(yBytes, isUnsigned: true, isBigEndian: true));
        if (x >= s_p || y >= s_p) return false;
        return ((y * y) - ((x * x * x) - (3 * x) + s_b)) % s_p == 0;
    }

    private static byte[] PublicJwk(ECPoint point)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer)) WriteJwk(json, point);
        return buffer.ToArray();
    }

    private static byte[] Header(ECPoint ephemeral)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteString("alg", Algorithm);
            json.WriteString("enc", Encryption);
            json.WritePropertyName("epk");
            WriteJwk(json, ephemeral);
            json.WriteEndObject();
        }
        return buffer.ToArray();
    }

    private static void WriteJwk(Utf8JsonWriter json, ECPoint point)
    {
        json.WriteStartObject();
        json.WriteString("kty", "EC");
        json.WriteString("crv", "P-256");
        json.WriteString("x", Base64Url.EncodeToString(point.X));
        json.WriteString("y", Base64Url.EncodeToString(point.Y));
        json.WriteEndObject();
    }

    private static JsonDocument? ParseObject(byte[] json)
    {
        JsonDocument? document = null;
        try
        {
            document = JsonDocument.Parse(json, s_strict);
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                ReadNames(document.RootElement);
                return document;
            }
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The second: half a surrogate pair in an escape.
        }
        document?.Dispose();
        return null;
    }

    // Escapes in names are looked at when a member is looked for: all are read before any is.
    private static void ReadNames(JsonElement element)
    {
        foreach (var member in element.EnumerateObject())
        {
            _ = member.Name;
            if (member.Value.ValueKind == JsonValueKind.Object) ReadNames(member.Value);
        }
    }

    private static string? Text(JsonElement element, string name)
    {
        if (!element.TryGetProperty(name, out var value) || value.ValueKind != JsonValueKind.String) return null;
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            // A lone surrogate or broken UTF-8 inside the string.
            return null;
        }
    }

    /// <summary>Strict base64url: no padding, no white space, no bits left over, so that each value has one text.</summary>
    private static byte[]? Decode(string text)
    {
        if (!Base64Url.IsValid(text)) return null;
        var bytes = Base64Url.DecodeFromChars(text);
        return Base64Url.EncodeToString(bytes) == text ? bytes : null;
    }

    private static void AppendNumber(IncrementalHash sha, int number)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, number);
        sha.AppendData(bytes);
    }

    private static void AppendWithLength(IncrementalHash sha, ReadOnlySpan<byte> data)
    {
        AppendNumber(sha, data.Length);
        sha.AppendData(data);
    }

    private static LockstepException Bad(string detail, Exception? inner = null) => new(ErrorCode.BadRequest, detail, inner);
}
