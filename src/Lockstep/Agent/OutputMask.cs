using System.Buffers;

namespace Lockstep.Agent;

/// <summary>
/// Finds any of many byte strings in one pass (Aho and Corasick, 1975): a state is the longest end of what was read that one of them begins with.
/// Immutable; time is linear in what is read whatever it is, memory in the length of the strings.
/// </summary>
internal sealed class OutputMask
{
    private readonly Dictionary<int, int> _children = [];
    private readonly int[] _root = new int[256];
    private readonly List<int> _failures = [0];
    private readonly List<int> _depths = [0];
    private readonly List<int> _matches = [0];
    private readonly SearchValues<byte> _first;

    public OutputMask(IEnumerable<byte[]> patterns)
    {
        foreach (var pattern in patterns) Add(pattern);
        Link();
        _first = SearchValues.Create([.. Enumerable.Range(0, 256).Where(b => _root[b] != 0).Select(b => (byte)b)]);
    }

    /// <summary>The state after one more byte.</summary>
    public int Next(int state, byte value)
    {
        while (state != 0)
        {
            if (_children.TryGetValue(state << 8 | value, out var next)) return next;
            state = _failures[state];
        }
        return _root[value];
    }

    /// <summary>How many of the bytes read last may be the beginning of a string.</summary>
    public int Depth(int state) => _depths[state];

    /// <summary>The length of the longest string that ends here; 0: none does.</summary>
    public int Match(int state) => _matches[state];

    /// <summary>Where the next byte is that a string begins with; -1: nowhere.</summary>
    public int IndexOfFirst(ReadOnlySpan<byte> bytes) => bytes.IndexOfAny(_first);

    private void Add(byte[] pattern)
    {
        var state = 0;
        foreach (var value in pattern)
        {
            ref var next = ref state == 0
                ? ref _root[value]
                : ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(_children, state << 8 | value, out _);
            if (next == 0)
            {
                next = _depths.Count;
                _failures.Add(0);
                _depths.Add(_depths[state] + 1);
                _matches.Add(0);
            }
            state = next;
        }
        _matches[state] = pattern.Length;
    }

    /// <summary>Each state's next shorter one, from the shortest up.</summary>
    private void Link()
    {
        foreach (var (edge, child) in _children.OrderBy(e => _depths[e.Value]))
        {
            var failure = Next(_failures[edge >> 8], (byte)edge);
            _failures[child] = failure;
            _matches[child] = Math.Max(_matches[child], _matches[failure]);
        }
    }
}
