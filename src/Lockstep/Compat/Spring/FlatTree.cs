using System.Globalization;
using Lockstep.Client;
using Lockstep.Config;

namespace Lockstep.Compat.Spring;

/// <summary>A node of the tree that the flat keys of an environment describe.</summary>
internal abstract class FlatNode
{
    internal sealed class Leaf(ScalarValue value) : FlatNode
    {
        public ScalarValue Value { get; } = value;
    }

    internal sealed class Map : FlatNode
    {
        private readonly Dictionary<string, int> _index = new(StringComparer.Ordinal);
        private readonly List<KeyValuePair<string, FlatNode>> _members = [];

        /// <summary>In the order they were added.</summary>
        public IReadOnlyList<KeyValuePair<string, FlatNode>> Members => _members;

        public FlatNode? Find(string name) => _index.TryGetValue(name, out var at) ? _members[at].Value : null;

        public void Set(string name, FlatNode node)
        {
            if (_index.TryGetValue(name, out var at))
            {
                _members[at] = new(name, node);
                return;
            }
            _index.Add(name, _members.Count);
            _members.Add(new(name, node));
        }
    }

    internal sealed class Sequence : FlatNode
    {
        /// <summary>Null is a gap.</summary>
        public List<FlatNode?> Items { get; } = [];
    }
}

/// <summary>
/// Builds the tree as Spring does: <c>a.b</c> beside <c>a.b.c</c> makes the members <c>b</c> and <c>b.c</c>, gaps in lists are null, and brackets around anything but a
/// number belong to the name.
/// </summary>
internal static class FlatTree
{
    private const int MaxLength = 1024;
    private const int MaxDepth = 100;
    private const int MaxIndex = 100_000;
    private const int MaxGaps = 100_000;

    /// <exception cref="LockstepException">bad-request: a key with <c>..</c> or <c>.[</c>, or lists with too many gaps.</exception>
    public static FlatNode.Map Build(IEnumerable<(string Key, ScalarValue Value)> values)
    {
        var root = new FlatNode.Map();
        var gaps = 0;
        foreach (var (key, value) in values)
        {
            var steps = Split(key);
            Place(root, (key, steps), 0, new FlatNode.Leaf(value), ref gaps);
        }
        return root;
    }

    private static void Place(FlatNode.Map map, (string Key, List<Step> Steps) path, int at, FlatNode.Leaf leaf, ref int gaps)
    {
        while (true)
        {
            var step = path.Steps[at];
            if (at == path.Steps.Count - 1)
            {
                map.Set(step.Name!, leaf);
                return;
            }
            var below = map.Find(step.Name!);
            var isList = path.Steps[at + 1].Name is null;
            if (below is not null && (isList ? below is not FlatNode.Sequence : below is not FlatNode.Map))
            {
                // Something else has the place: the rest of the key stands beside it.
                map.Set(path.Key[step.Start..], leaf);
                return;
            }
            if (below is null) map.Set(step.Name!, below = isList ? new FlatNode.Sequence() : new FlatNode.Map());
            if (!isList)
            {
                map = (FlatNode.Map)below;
                at++;
                continue;
            }
            if (Item((FlatNode.Sequence)below, path, at + 1, leaf, ref gaps) is not var (next, to)) return;
            (map, at) = (next, to);
        }
    }

    /// <summary>Goes through the indices from <paramref name="at"/> on; null when the leaf found its place in a list.</summary>
    private static (FlatNode.Map Map, int At)? Item(FlatNode.Sequence list, (string Key, List<Step> Steps) path, int at, FlatNode.Leaf leaf, ref int gaps)
    {
        while (true)
        {
            var index = path.Steps[at].Index;
            gaps += Math.Max(0, index - list.Items.Count);
            if (gaps > MaxGaps) throw new LockstepException(ErrorCode.BadRequest, $"Invalid key: {path.Key}: its list has too many gaps");
            while (list.Items.Count <= index) list.Items.Add(null);
            var last = at == path.Steps.Count - 1;
            var isList = !last && path.Steps[at + 1].Name is null;
            var wanted = last ? leaf : list.Items[index] ?? (isList ? new FlatNode.Sequence() : new FlatNode.Map());
            if (list.Items[index] is { } there && (last || (isList ? there is not FlatNode.Sequence : there is not FlatNode.Map)))
                throw new LockstepException(ErrorCode.BadRequest, $"Invalid key: {path.Key}: something else has its place");
            list.Items[index] = wanted;
            at++;
            if (last) return null;
            if (wanted is FlatNode.Map map) return (map, at);
            list = (FlatNode.Sequence)wanted;
        }
    }

    private static List<Step> Split(string key)
    {
        if (key.Contains("..", StringComparison.Ordinal) || key.Contains(".[", StringComparison.Ordinal))
            throw new LockstepException(ErrorCode.BadRequest, $"Invalid key: {key}");
        // Nothing that reads such a form wants keys so long, and taking one apart may look at all of it for each bracket.
        if (key.Length > MaxLength) return [new Step(key, 0, 0)];
        var steps = new List<Step>();
        for (var position = 0; position <= key.Length;)
        {
            if (steps.Count >= MaxDepth) return [new Step(key, 0, 0)];
            var start = position;
            while (position < key.Length && key[position] != '.' && (position == start || Index(key, position) is null))
                position = key[position] == '[' && key.IndexOf(']', position) is > 0 and var close ? close + 1 : position + 1;
            steps.Add(new Step(key[start..position], 0, start));
            for (; Index(key, position) is { } index; position = index.End) steps.Add(new Step(null, index.Value, position));
            if (position < key.Length && key[position] != '.') throw new LockstepException(ErrorCode.BadRequest, $"Invalid key: {key}");
            position++;
        }
        return steps.Count > MaxDepth ? [new Step(key, 0, 0)] : steps;
    }

    private static (int Value, int End)? Index(string key, int position)
    {
        if (position >= key.Length || key[position] != '[') return null;
        var close = key.IndexOf(']', position);
        return close > 0 && int.TryParse(key.AsSpan(position + 1, close - position - 1), NumberStyles.None, CultureInfo.InvariantCulture, out var value) && value <= MaxIndex
            ? (value, close + 1)
            : null;
    }

    /// <summary>A name, or an index where the name is null, and where it starts in the key.</summary>
    private readonly record struct Step(string? Name, int Index, int Start);
}
