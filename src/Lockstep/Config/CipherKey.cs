using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config;

/// <summary>
/// The symmetric key of <c>{cipher}</c> values, in the format of Spring's symmetric text encryptor: hexadecimal of a random IV of 16
/// bytes and AES-256-CBC with PKCS #7, under PBKDF2-HMAC-SHA1 of a password with the salt <c>deadbeef</c> and 1,024 rounds. The format has no authentication:
/// text that decrypts is not proven to be genuine.
/// </summary>
internal sealed class CipherKey
{
    /// <summary>How a value says that it is encrypted.</summary>
    public const string Prefix = "{cipher}";

    private const int MaxFileBytes = 64 * 1024;
    private const int BlockBytes = 16;
    private const int KeyBytes = 32;
    private const int Rounds = 1024;

    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static readonly SearchValues<char> s_hex = SearchValues.Create("0123456789abcdefABCDEF");

    private static readonly byte[] s_salt = [0xde, 0xad, 0xbe, 0xef];

    private readonly byte[] _key;

    /// <param name="password">What everything is derived from.</param>
    /// <param name="identityKey">The key under which the identity is made, so that who reads the database cannot try passwords against it.</param>
    public CipherKey(string password, byte[] identityKey)
    {
        _key = Rfc2898DeriveBytes.Pbkdf2(s_strictUtf8.GetBytes(password), s_salt, Rounds, HashAlgorithmName.SHA1, KeyBytes);
        Identity = Convert.ToHexStringLower(HMACSHA256.HashData(identityKey, _key).AsSpan(0, 16));
    }

    /// <summary>Names the key without telling anything of it.</summary>
    public string Identity { get; }

    /// <summary>Reads the password from a file; a line end after it does not count.</summary>
    /// <exception cref="LockstepException">invalid-config, with the reason.</exception>
    public static CipherKey Read(string file, byte[] identityKey)
    {
        string password;
        try
        {
            if (new FileInfo(file).Length > MaxFileBytes) throw Unfit(file, $"is larger than {MaxFileBytes} bytes");
            password = s_strictUtf8.GetString(File.ReadAllBytes(file)).TrimEnd('\r', '\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unfit(file, "can't be read: " + e.Message);
        }
        catch (DecoderFallbackException)
        {
            throw Unfit(file, "is not UTF-8 text");
        }
        if (password.Length == 0) throw Unfit(file, "is empty");
        if (password.StartsWith("-----BEGIN", StringComparison.Ordinal)) throw Unfit(file, "holds a PEM key; only symmetric keys, a password, are supported");
        return new CipherKey(password, identityKey);
    }

    public string Encrypt(string text)
    {
        using var aes = Aes.Create();
        aes.Key = _key;
        var iv = RandomNumberGenerator.GetBytes(BlockBytes);
        return Convert.ToHexStringLower([.. iv, .. aes.EncryptCbc(s_strictUtf8.GetBytes(text), iv)]);
    }

    /// <summary>The text behind a value, with or without <see cref="Prefix"/>; null when it was not encrypted with this key.</summary>
    public string? Decrypt(string value)
    {
        var text = WithoutPrefixes(value).Trim();
        if (text.Length < 4 * BlockBytes || text.Length % (2 * BlockBytes) != 0 || text.AsSpan().ContainsAnyExcept(s_hex)) return null;
        var bytes = Convert.FromHexString(text);
        try
        {
            using var aes = Aes.Create();
            aes.Key = _key;
            return s_strictUtf8.GetString(aes.DecryptCbc(bytes.AsSpan(BlockBytes), bytes.AsSpan(0, BlockBytes)));
        }
        catch (Exception e) when (e is CryptographicException or DecoderFallbackException)
        {
            // Another key, or no cipher text: one answer for both.
            return null;
        }
    }

    /// <summary>Drops <c>{cipher}</c> and prefixes such as <c>{key:alias}</c>; what follows <c>{plain}</c> is none.</summary>
    public static string WithoutPrefixes(string value)
    {
        if (value.StartsWith(Prefix, StringComparison.Ordinal)) value = value[Prefix.Length..];
        while (value.StartsWith('{'))
        {
            var end = value.IndexOf('}', StringComparison.Ordinal);
            if (end < 0) return value;
            var name = value[1..end];
            if (name == "plain") return value[(end + 1)..];
            // A value may be JSON.
            if (name.IndexOf(':', StringComparison.Ordinal) is not (> 0 and var colon) || name.AsSpan(0, colon).ContainsAnyExceptInRange('a', 'z')) return value;
            value = value[(end + 1)..];
        }
        return value;
    }

    private static LockstepException Unfit(string file, string reason) => new(ErrorCode.InvalidConfig, $"spring.encryptKeyFile: '{file}' {reason}");
}
