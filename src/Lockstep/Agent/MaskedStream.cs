namespace Lockstep.Agent;

/// <summary>
/// One stream of output on its way: every run of bytes that masked values cover becomes <c>***</c>. Held back is only what may be the beginning of one.
/// What comes out does not depend on how what goes in is cut into pieces.
/// </summary>
internal sealed class MaskedStream(Action<ReadOnlySpan<byte>> output)
{
    private byte[] _buffer = new byte[8192];

    /// <summary>Which bytes of the buffer a value covers.</summary>
    private bool[] _covered = new bool[8192];
    private int _count;
    private OutputMask? _mask;
    private int _state;

    // Whether the last thing that went out is a mask: what is covered next to it belongs to it.
    private bool _afterMask;

    /// <summary>How many bytes wait for what comes after them.</summary>
    public int Held => _count;

    public void Write(ReadOnlySpan<byte> bytes, OutputMask mask)
    {
        var from = _count;
        // With other values, what is held is looked at again.
        if (!ReferenceEquals(_mask, mask)) (_mask, _state, from) = (mask, 0, 0);
        if (_buffer.Length < _count + bytes.Length)
        {
            var size = Math.Max(_buffer.Length * 2, _count + bytes.Length);
            Array.Resize(ref _buffer, size);
            Array.Resize(ref _covered, size);
        }
        bytes.CopyTo(_buffer.AsSpan(_count));
        _count += bytes.Length;
        Scan(mask, from);
        Emit(_count - Math.Min(mask.Depth(_state), _count));
    }

    /// <summary>Lets out what is held: nothing comes after it, or not soon. Should the value go on after all, its rest is masked.</summary>
    public void Flush() => Emit(_count);

    private void Scan(OutputMask mask, int i)
    {
        while (i < _count)
        {
            if (_state == 0)
            {
                var skip = mask.IndexOfFirst(_buffer.AsSpan(i, _count - i));
                if (skip < 0) return;
                i += skip;
            }
            _state = mask.Next(_state, _buffer[i++]);
            var start = i - mask.Match(_state);
            if (start < i) _covered.AsSpan(Math.Max(0, start)..i).Fill(true);
        }
    }

    private void Emit(int end)
    {
        for (var at = 0; at < end;)
        {
            var covered = _covered[at];
            var length = _covered.AsSpan(at..end).IndexOf(!covered);
            if (length < 0) length = end - at;
            if (!covered) output(_buffer.AsSpan(at, length));
            else if (!_afterMask) output("***"u8);
            _afterMask = covered;
            at += length;
        }
        _buffer.AsSpan(end.._count).CopyTo(_buffer);
        _covered.AsSpan(end.._count).CopyTo(_covered);
        _covered.AsSpan((_count - end).._count).Clear();
        _count -= end;
    }
}
