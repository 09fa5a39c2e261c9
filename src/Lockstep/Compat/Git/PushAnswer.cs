using System.Text;

namespace Lockstep.Compat.Git;

/// <summary>
/// What git says of a push, on its way to the client. When git ended at the limit of its memory, which it says in words for its own programmers, a line for the one who
/// pushes is put before the end, the flush packet.
/// </summary>
internal sealed class PushAnswer(Stream inner) : Stream
{
    private const string Reason =
        "error: the server takes objects of at most 64 MiB, but for whole files, and about a million at once: push large files with `git -c core.bigFileThreshold=8m push`, many commits in several steps\n";

    // The last bytes seen: they may be the end.
    private byte[] _held = [];
    private bool _isTooLarge;

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        byte[] all = [.. _held, .. buffer.Span];
        _isTooLarge |= all.AsSpan().IndexOf("attempting to allocate"u8) >= 0;
        var kept = Math.Min(4, all.Length);
        _held = all[^kept..];
        await inner.WriteAsync(all.AsMemory(0, all.Length - kept), cancellationToken);
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    /// <summary>Git has said all.</summary>
    public async Task EndAsync(CancellationToken cancellationToken)
    {
        // A packet for the side band of messages: its length in hexadecimal, the band, the text (gitprotocol-pack(5)).
        if (_isTooLarge && _held.AsSpan().SequenceEqual("0000"u8))
            await inner.WriteAsync(Encoding.ASCII.GetBytes($"{Reason.Length + 5:x4}\u0002{Reason}"), cancellationToken);
        await inner.WriteAsync(_held, cancellationToken);
        await inner.FlushAsync(cancellationToken);
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush()
    {
    }
}
