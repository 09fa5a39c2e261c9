using System.Globalization;

namespace Lockstep.Compat.Git;

/// <summary>
/// Counts the two parts of a push: first the list of refs, which git keeps in memory, then what it writes to disk. The first ends with the flush packet, <c>0000</c>
/// (gitprotocol-common(5)); what has no such form is counted as a list to its end.
/// </summary>
internal sealed class PushBody(long listLimit, long restLimit)
{
    private readonly byte[] _length = new byte[4];
    private int _digits;
    private int _skip;
    private long _list;
    private long _rest;
    private bool _isOver;

    /// <summary>Takes the next bytes; false when there are too many.</summary>
    public bool Add(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty && !_isOver)
        {
            var taken = Math.Min(bytes.Length, _skip > 0 ? _skip : _length.Length - _digits);
            if (_skip > 0) _skip -= taken;
            else ReadLength(bytes[..taken]);
            if ((_list += taken) > listLimit) return false;
            bytes = bytes[taken..];
        }
        return (_rest += bytes.Length) <= restLimit;
    }

    private void ReadLength(ReadOnlySpan<byte> digits)
    {
        digits.CopyTo(_length.AsSpan(_digits));
        if ((_digits += digits.Length) < _length.Length) return;
        _digits = 0;
        // 0001 to 0003 hold nothing either, and end nothing.
        if (!int.TryParse(_length, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var length)) _skip = int.MaxValue;
        else if (length == 0) _isOver = true;
        else _skip = Math.Max(0, length - _length.Length);
    }
}
