using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;

namespace Lockstep.Access.Jwt;

/// <summary>
/// A signed token in compact form (RFC 7515 §7.1) with its claims (RFC 7519), read strictly; nothing in it is verified yet. Members of the head that name
/// or hold keys (<c>jku</c>, <c>jwk</c>, <c>x5u</c>, <c>x5c</c>) are never looked at.
/// </summary>
internal sealed class CompactJws : IDisposable
{
    public const int MaxLength = 16 * 1024;

    private const int MaxKeyId = 512;

    // What changes the meaning of the token in a way that is not understood here; the last makes it an encrypted one.
    private static readonly string[] s_refused = ["crit", "b64", "cty", "zip", "enc"];

    private readonly JsonDocument _claims;

    private CompactJws(JsonDocument claims) => _claims = claims;

    public required string Algorithm { get; init; }

    public string? KeyId { get; init; }

    public JsonElement Claims => _claims.RootElement;

    /// <summary>The bytes that are signed.</summary>
    public required byte[] Signed { get; init; }

    public required byte[] Signature { get; init; }

    public static bool TryParse(string token, [NotNullWhen(true)] out CompactJws? jws)
    {
        jws = null;
        if (token.Length > MaxLength || token.Split('.') is not [var head, var body, var mark]) return false;
        if (!TryDecode(head, out var header) || !TryDecode(body, out var payload) || !TryDecode(mark, out var signature)) return false;
        if (!TryReadHead(header, out var algorithm, out var keyId) || !StrictJson.TryParse(payload, out var claims)) return false;
        jws = new CompactJws(claims)
        {
            Algorithm = algorithm,
            KeyId = keyId,
            Signed = Encoding.ASCII.GetBytes(token, 0, head.Length + 1 + body.Length),
            Signature = signature,
        };
        return true;
    }

    public void Dispose() => _claims.Dispose();

    /// <summary>Base64url without padding, and only the one spelling that its bytes have: the decoder refuses bits that no byte has.</summary>
    public static bool TryDecode(string text, out byte[] bytes)
    {
        bytes = [];
        if (text.Length == 0 || text.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_'))) return false;
        try
        {
            bytes = Base64Url.DecodeFromChars(text);
            return true;
        }
        catch (FormatException)
        {
            return false;
        }
    }

    private static bool TryReadHead(byte[] utf8, [NotNullWhen(true)] out string? algorithm, out string? keyId)
    {
        (algorithm, keyId) = (null, null);
        if (!StrictJson.TryParse(utf8, out var document)) return false;
        using (document)
        {
            var head = document.RootElement;
            if (s_refused.Any(m => head.TryGetProperty(m, out _))) return false;
            if (head.TryGetProperty("typ", out var type) && !(type.ValueKind == JsonValueKind.String && IsTokenType(type.GetString()!))) return false;
            if (head.TryGetProperty("kid", out var kid))
            {
                if (kid.ValueKind != JsonValueKind.String || kid.GetString() is not { Length: > 0 and <= MaxKeyId } id) return false;
                keyId = id;
            }
            algorithm = StrictJson.TextOf(head, "alg");
            return algorithm is not null;
        }
    }

    // RFC 8725 §3.11: a thing of another type, such as a logout token, is none. ID tokens and access tokens (RFC 9068) are.
    private static bool IsTokenType(string type)
    {
        var name = type.AsSpan();
        if (name.StartsWith("application/", StringComparison.OrdinalIgnoreCase)) name = name["application/".Length..];
        return name.Equals("JWT", StringComparison.OrdinalIgnoreCase) || name.Equals("at+jwt", StringComparison.OrdinalIgnoreCase);
    }
}
