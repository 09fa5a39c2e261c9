using Lockstep.Client;

namespace Lockstep.Compat.Git;

/// <summary>Reads as long as <paramref name="allows"/>, which is shown all that is read; what is more, as a small body that unpacks to a large one, fails.</summary>
internal sealed class LimitedStream(Stream inner, LimitedStream.Allows allows) : Stream
{
    public delegate bool Allows(ReadOnlySpan<byte> bytes);

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>Reads up to a number of bytes.</summary>
    public static LimitedStream To(Stream inner, long limit) => new(inner, bytes => (limit -= bytes.Length) >= 0);

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await inner.ReadAsync(buffer, cancellationToken);
        return allows(buffer.Span[..read]) ? read : throw new LockstepException(ErrorCode.TooLarge, "the request is too large");
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }
}
