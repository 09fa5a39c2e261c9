using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using Lockstep.Client;

namespace Lockstep.Storage.Backup;

/// <summary>Reads what <see cref="SealingStream"/> wrote, chunk by chunk; nothing of a chunk is given out before it is found to be whole and in its place.</summary>
internal sealed class OpeningStream(Stream file, byte[] key, byte[] binding) : ForwardStream
{
    private readonly AesGcm _aes = new(key, SealingStream.TagLength);
    private readonly byte[] _plain = new byte[SealingStream.ChunkLength];
    private readonly byte[] _sealed = new byte[SealingStream.ChunkLength + SealingStream.TagLength];
    private readonly byte[] _nonce = new byte[12];
    private readonly byte[] _binding = [.. binding, 0];
    private int _at;
    private int _filled;
    private long _number;
    private bool _last;

    public override bool CanRead => true;

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        while (_at == _filled)
        {
            if (_last) return 0;
            Open();
        }
        var count = Math.Min(buffer.Length, _filled - _at);
        _plain.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }

    /// <summary>Goes through the chunks' heads without a key: whether the file is as long as it must be.</summary>
    /// <exception cref="LockstepException">invalid-config when it was cut off, or goes on after its end.</exception>
    public static void CheckLength(Stream file)
    {
        for (var number = 0L; ; number++)
        {
            var (length, isLast) = ReadHead(file, number);
            if (file.Length - file.Position < length + SealingStream.TagLength) throw CutOff(number);
            file.Seek(length + SealingStream.TagLength, SeekOrigin.Current);
            if (!isLast) continue;
            if (file.Position != file.Length) throw TooLong();
            return;
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _aes.Dispose();
        CryptographicOperations.ZeroMemory(_plain);
        base.Dispose(disposing);
    }

    private static (int Length, bool IsLast) ReadHead(Stream file, long number)
    {
        Span<byte> head = stackalloc byte[SealingStream.HeadLength];
        if (file.ReadAtLeast(head, head.Length, throwOnEndOfStream: false) < head.Length) throw CutOff(number);
        var word = BinaryPrimitives.ReadUInt32BigEndian(head);
        var isLast = (word & SealingStream.LastChunk) != 0;
        var length = (int)(word & ~SealingStream.LastChunk);
        if (length > SealingStream.ChunkLength || (!isLast && length < SealingStream.ChunkLength)) throw Damaged(number);
        return (length, isLast);
    }

    private void Open()
    {
        (_filled, _last) = ReadHead(file, _number);
        _at = 0;
        var whole = _filled + SealingStream.TagLength;
        if (file.ReadAtLeast(_sealed.AsSpan(0, whole), whole, throwOnEndOfStream: false) < whole) throw CutOff(_number);
        SealingStream.Number(_nonce, _number);
        _binding[^1] = _last ? (byte)1 : (byte)0;
        try
        {
            _aes.Decrypt(_nonce, _sealed.AsSpan(0, _filled), _sealed.AsSpan(_filled, SealingStream.TagLength), _plain.AsSpan(0, _filled), _binding);
        }
        catch (CryptographicException)
        {
            throw Damaged(_number);
        }
        _number++;
        if (_last && file.ReadByte() >= 0) throw TooLong();
    }

    private static LockstepException CutOff(long number) => BackupHeader.Damaged(string.Create(CultureInfo.InvariantCulture, $"it ends in chunk {number}: it was cut off"));

    private static LockstepException Damaged(long number) => BackupHeader.Damaged(string.Create(CultureInfo.InvariantCulture, $"chunk {number} is not as it was written: it was damaged or changed"));

    private static LockstepException TooLong() => BackupHeader.Damaged("it goes on after its end: something was added to it");
}
