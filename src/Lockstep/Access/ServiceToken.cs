using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Lockstep.Access;

/// <summary>
/// A service token: <c>lks_</c>, a public id, <c>_</c>, 256 random bits and the CRC-32 of all before, in base62. The id names the token in
/// records and survives a roll; the checksum tells a mistyped token from a wrong one before any look-up. Only <see cref="Hash"/> is stored.
/// It prints <c>lks_ID_***</c>.
/// </summary>
internal readonly struct ServiceToken
{
    public const string Prefix = "lks_";
    public const int IdLength = 12;
    private const int SecretLength = 43;
    private const int CheckLength = 6;
    private const int SecretStart = 4 + IdLength + 1;
    private const int CheckStart = SecretStart + SecretLength;
    public const int Length = CheckStart + CheckLength;

    private const string Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    private static readonly SearchValues<char> s_alphabet = SearchValues.Create(Alphabet);
    private static readonly uint[] s_crcTable = MakeCrcTable();

    private readonly string _text;

    private ServiceToken(string text) => _text = text;

    /// <summary>The part that may be shown and stored.</summary>
    public ReadOnlySpan<char> Id => _text.AsSpan(Prefix.Length, IdLength);

    /// <summary>A new token with a new secret; <paramref name="id"/> is kept when a token is rolled.</summary>
    public static ServiceToken Create(string? id = null)
    {
        // 62^43 is just above 2^256, and GetString draws each character without bias.
        var body = $"{Prefix}{id ?? RandomNumberGenerator.GetString(Alphabet, IdLength)}_{RandomNumberGenerator.GetString(Alphabet, SecretLength)}";
        return new ServiceToken(body + Checksum(body));
    }

    /// <summary>Accepts exactly the form that <see cref="Create"/> makes, checksum included.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out ServiceToken token)
    {
        token = default;
        if (text is null || text.Length != Length || !text.StartsWith(Prefix, StringComparison.Ordinal) || text[SecretStart - 1] != '_') return false;
        var span = text.AsSpan();
        if (span.Slice(Prefix.Length, IdLength).ContainsAnyExcept(s_alphabet) || span[SecretStart..].ContainsAnyExcept(s_alphabet)) return false;
        Span<char> check = stackalloc char[CheckLength];
        WriteChecksum(span[..CheckStart], check);
        if (!span[CheckStart..].SequenceEqual(check)) return false;
        token = new ServiceToken(text);
        return true;
    }

    /// <summary>SHA-256 of the secret part; with 256 random bits inside, no salt and no slow hash are needed.</summary>
    public byte[] Hash()
    {
        var hash = new byte[SHA256.HashSizeInBytes];
        WriteHash(hash);
        return hash;
    }

    /// <summary>Whether this token's secret has that hash; takes the same time wherever they differ.</summary>
    public bool Matches(ReadOnlySpan<byte> hash)
    {
        Span<byte> own = stackalloc byte[SHA256.HashSizeInBytes];
        WriteHash(own);
        return CryptographicOperations.FixedTimeEquals(own, hash);
    }

    /// <summary>The whole token, to be shown once to the one who made it.</summary>
    public string Export() => _text;

    public override string ToString() => _text is null ? "" : $"{Prefix}{Id}_***";

    private void WriteHash(Span<byte> hash)
    {
        Span<byte> secret = stackalloc byte[SecretLength];
        Encoding.ASCII.GetBytes(_text.AsSpan(SecretStart, SecretLength), secret);
        SHA256.HashData(secret, hash);
        CryptographicOperations.ZeroMemory(secret);
    }

    private static string Checksum(string body) => string.Create(CheckLength, body, static (target, text) => WriteChecksum(text, target));

    private static void WriteChecksum(ReadOnlySpan<char> body, Span<char> target)
    {
        var crc = 0xFFFFFFFFu;
        foreach (var c in body) crc = s_crcTable[(byte)(crc ^ c)] ^ (crc >> 8);
        crc = ~crc;
        for (var i = CheckLength - 1; i >= 0; i--)
        {
            target[i] = Alphabet[(int)(crc % 62)];
            crc /= 62;
        }
    }

    /// <summary>CRC-32 as in IEEE 802.3 and zlib (reflected polynomial EDB88320).</summary>
    private static uint[] MakeCrcTable()
    {
        var table = new uint[256];
        for (uint i = 0; i < 256; i++)
        {
            var value = i;
            for (var bit = 0; bit < 8; bit++) value = (value & 1) == 0 ? value >> 1 : (value >> 1) ^ 0xEDB88320u;
            table[i] = value;
        }
        return table;
    }
}
