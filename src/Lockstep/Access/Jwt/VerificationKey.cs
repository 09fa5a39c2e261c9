using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Security.Cryptography;
using System.Text.Json;

namespace Lockstep.Access.Jwt;

/// <summary>A public key of an issuer (RFC 7517) with the algorithms it may be used with. Safe for concurrent use.</summary>
internal sealed class VerificationKey
{
    private readonly RSAParameters? _rsa;
    private readonly ECParameters? _ec;
    private readonly string[] _algorithms;

    private VerificationKey(string? id, RSAParameters? rsa, ECParameters? ec, string[] algorithms) => (Id, _rsa, _ec, _algorithms) = (id, rsa, ec, algorithms);

    /// <summary>The <c>kid</c>.</summary>
    public string? Id { get; }

    /// <summary>Reads one key of a set; false for those that are not for signatures, or of a kind or size that is not used here.</summary>
    public static bool TryRead(JsonElement jwk, [NotNullWhen(true)] out VerificationKey? key)
    {
        key = null;
        if (jwk.ValueKind != JsonValueKind.Object || !IsForVerification(jwk)) return false;
        if (jwk.TryGetProperty("kid", out var kid) && kid.ValueKind != JsonValueKind.String) return false;
        RSAParameters? rsa = null;
        ECParameters? ec = null;
        string[] algorithms;
        switch (StrictJson.TextOf(jwk, "kty"))
        {
            case "RSA":
                (rsa, algorithms) = (RsaOf(jwk), ["RS256", "PS256"]);
                break;
            case "EC":
                ec = EcOf(jwk, out var algorithm);
                algorithms = [algorithm];
                break;
            default:
                return false;
        }
        if (rsa is null && ec is null) return false;
        // A key that names its algorithm is for that one alone.
        if (jwk.TryGetProperty("alg", out var named)) algorithms = [.. algorithms.Where(a => named.ValueKind == JsonValueKind.String && named.GetString() == a)];
        if (algorithms.Length == 0) return false;
        key = new VerificationKey(StrictJson.TextOf(jwk, "kid"), rsa, ec, algorithms);
        return key.CanBeUsed();
    }

    public bool IsSameAs(VerificationKey other) =>
        Id == other.Id && _algorithms.SequenceEqual(other._algorithms)
        && Same(_rsa?.Modulus, other._rsa?.Modulus) && Same(_rsa?.Exponent, other._rsa?.Exponent) && Same(_ec?.Q.X, other._ec?.Q.X) && Same(_ec?.Q.Y, other._ec?.Q.Y);

    private static bool Same(byte[]? a, byte[]? b) => a is null ? b is null : b is not null && a.AsSpan().SequenceEqual(b);

    public bool Fits(string algorithm) => _algorithms.Contains(algorithm);

    /// <summary>Whether the signature is of this key. The algorithm must fit.</summary>
    public bool Verify(string algorithm, byte[] signed, byte[] signature)
    {
        try
        {
            if (_rsa is { } rsaKey)
            {
                if (signature.Length != rsaKey.Modulus!.Length) return false;
                using var rsa = RSA.Create(rsaKey);
                return rsa.VerifyData(signed, signature, HashAlgorithmName.SHA256, algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);
            }
            var hash = algorithm == "ES384" ? HashAlgorithmName.SHA384 : HashAlgorithmName.SHA256;
            if (signature.Length != 2 * _ec!.Value.Q.X!.Length) return false;
            using var ecdsa = ECDsa.Create(_ec.Value);
            return ecdsa.VerifyData(signed, signature, hash, DSASignatureFormat.IeeeP1363FixedFieldConcatenation);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private static bool IsForVerification(JsonElement jwk)
    {
        // Whoever publishes the private part has no key any more.
        if (jwk.TryGetProperty("d", out _) || jwk.TryGetProperty("k", out _)) return false;
        if (jwk.TryGetProperty("use", out var use) && !(use.ValueKind == JsonValueKind.String && use.ValueEquals("sig"))) return false;
        return !jwk.TryGetProperty("key_ops", out var operations)
            || (operations.ValueKind == JsonValueKind.Array && operations.EnumerateArray().Any(o => o.ValueKind == JsonValueKind.String && o.ValueEquals("verify")));
    }

    private static RSAParameters? RsaOf(JsonElement jwk)
    {
        if (NumberOf(jwk, "n") is not { } modulus || NumberOf(jwk, "e") is not { } exponent) return null;
        var bits = modulus.Length * 8 - BitOperations.LeadingZeroCount((uint)modulus[0]) + 24;
        var isOdd = (modulus[^1] & exponent[^1] & 1) == 1;
        return bits is >= 2048 and <= 8192 && isOdd && exponent.Length <= 4 && (exponent.Length > 1 || exponent[0] >= 3)
            ? new RSAParameters { Modulus = modulus, Exponent = exponent }
            : null;
    }

    private static ECParameters? EcOf(JsonElement jwk, out string algorithm)
    {
        var (curve, size, name) = StrictJson.TextOf(jwk, "crv") switch
        {
            "P-256" => (ECCurve.NamedCurves.nistP256, 32, "ES256"),
            "P-384" => (ECCurve.NamedCurves.nistP384, 48, "ES384"),
            _ => default,
        };
        algorithm = name ?? "";
        if (name is null || BytesOf(jwk, "x") is not { } x || BytesOf(jwk, "y") is not { } y || x.Length != size || y.Length != size) return null;
        return new ECParameters { Curve = curve, Q = new ECPoint { X = x, Y = y } };
    }

    private static byte[]? BytesOf(JsonElement jwk, string member) =>
        StrictJson.TextOf(jwk, member) is { } text && CompactJws.TryDecode(text, out var bytes) ? bytes : null;

    // Some write a zero before the number.
    private static byte[]? NumberOf(JsonElement jwk, string member) => BytesOf(jwk, member) is { } bytes && bytes.AsSpan().TrimStart((byte)0) is { Length: > 0 } number ? number.ToArray() : null;

    // A point that is not on its curve is found out here and not with each token.
    private bool CanBeUsed()
    {
        try
        {
            using AsymmetricAlgorithm made = _rsa is { } rsa ? RSA.Create(rsa) : ECDsa.Create(_ec!.Value);
            return true;
        }
        catch (CryptographicException)
        {
            return false;
        }
    }
}
