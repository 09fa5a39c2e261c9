using System.Security.Cryptography;

namespace Lockstep.Secrets;

/// <summary>
/// AES-256-GCM in one piece: format byte (1), 12 bytes nonce, ciphertext, 16 bytes tag. The associated data says what the bytes are and
/// whose; bytes that were changed, or moved to where other associated data holds, do not open.
/// </summary>
internal static class Envelope
{
    public const int Overhead = 1 + NonceLength + TagLength;

    private const byte Format = 1;
    private const int NonceLength = 12;
    private const int TagLength = 16;

    public static byte[] Seal(ReadOnlySpan<byte> key, ReadOnlySpan<byte> plain, ReadOnlySpan<byte> associatedData)
    {
        var result = new byte[Overhead + plain.Length];
        result[0] = Format;
        var nonce = result.AsSpan(1, NonceLength);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(key, TagLength);
        aes.Encrypt(nonce, plain, result.AsSpan(1 + NonceLength, plain.Length), result.AsSpan(^TagLength), associatedData);
        return result;
    }

    /// <exception cref="CryptographicException">Not what was sealed under this key and associated data.</exception>
    public static byte[] Open(ReadOnlySpan<byte> key, ReadOnlySpan<byte> sealedBytes, ReadOnlySpan<byte> associatedData)
    {
        if (sealedBytes.Length < Overhead || sealedBytes[0] != Format) throw new CryptographicException("Not a sealed value of a known format.");
        var plain = new byte[sealedBytes.Length - Overhead];
        using var aes = new AesGcm(key, TagLength);
        aes.Decrypt(sealedBytes.Slice(1, NonceLength), sealedBytes[(1 + NonceLength)..^TagLength], sealedBytes[^TagLength..], plain, associatedData);
        return plain;
    }
}
