using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Lockstep.Storage.Backup;

/// <summary>
/// Writes what is given to it in encrypted chunks (AES-256-GCM). The nonce is the chunk's number, the associated data the head of the file and whether it is the
/// last chunk: one that is changed, moved, left out, repeated or cut off is found.
/// </summary>
internal sealed class SealingStream(Stream file, byte[] key, byte[] binding) : ForwardStream
{
    public const int ChunkLength = 64 * 1024;
    public const int HeadLength = 4;
    public const int TagLength = 16;
    public const uint LastChunk = 0x8000_0000;

    private readonly AesGcm _aes = new(key, TagLength);
    private readonly byte[] _plain = new byte[ChunkLength];
    private readonly byte[] _sealed = new byte[HeadLength + ChunkLength + TagLength];
    private readonly byte[] _nonce = new byte[12];
    private readonly byte[] _binding = [.. binding, 0];
    private int _filled;
    private long _number;

    /// <summary>Called after each chunk.</summary>
    public Action? Written { get; init; }

    public override bool CanWrite => true;

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        while (buffer.Length > 0)
        {
            // A full chunk is kept until more comes: it may be the last.
            if (_filled == ChunkLength) EncryptChunk(isLast: false);
            var count = Math.Min(buffer.Length, ChunkLength - _filled);
            buffer[..count].CopyTo(_plain.AsSpan(_filled));
            _filled += count;
            buffer = buffer[count..];
        }
    }

    /// <summary>Writes the last chunk. Without it the file is not whole.</summary>
    public void Finish() => EncryptChunk(isLast: true);

    /// <summary>The nonce of a chunk.</summary>
    internal static void Number(byte[] nonce, long number) => BinaryPrimitives.WriteInt64BigEndian(nonce.AsSpan(4), number);

    protected override void Dispose(bool disposing)
    {
        if (disposing) _aes.Dispose();
        CryptographicOperations.ZeroMemory(_plain);
        base.Dispose(disposing);
    }

    private void EncryptChunk(bool isLast)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_sealed, (uint)_filled | (isLast ? LastChunk : 0));
        Number(_nonce, _number++);
        _binding[^1] = isLast ? (byte)1 : (byte)0;
        _aes.Encrypt(_nonce, _plain.AsSpan(0, _filled), _sealed.AsSpan(HeadLength, _filled), _sealed.AsSpan(HeadLength + _filled, TagLength), _binding);
        file.Write(_sealed, 0, HeadLength + _filled + TagLength);
        _filled = 0;
        Written?.Invoke();
    }
}
