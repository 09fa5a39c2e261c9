using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Config.Parsing;

/// <summary>
/// Makes a tree of one document at a time out of parser events. Aliases stay references here, so a tree is never larger than its file;
/// depth and number of nodes are bounded while reading.
/// </summary>
internal sealed class YamlComposer(IParser parser)
{
    private readonly Dictionary<AnchorName, YamlNode?> _anchors = [];
    private int _leaves;

    public int Line => (int)Math.Clamp(parser.Current?.Start.Line ?? 1, 1, int.MaxValue);

    private (int Line, int Column) At => (Line, (int)Math.Clamp(parser.Current?.Start.Column ?? 1, 1, int.MaxValue));

    public bool NextDocument(out YamlNode? root)
    {
        root = null;
        while (parser.MoveNext())
        {
            if (parser.Current is not DocumentStart) continue;
            _anchors.Clear();
            parser.MoveNext();
            root = Node(0);
            parser.MoveNext();
            return true;
        }
        return false;
    }

    private YamlNode Node(int depth)
    {
        if (depth > ConfigLimits.Depth) throw new ConfigSyntaxException(Line, $"the YAML nests deeper than {ConfigLimits.Depth} levels");
        return parser.Current switch
        {
            Scalar scalar => Anchored(scalar.Anchor, Leaf(new YamlScalar(At, YamlScalars.Resolve(scalar, Line)))),
            AnchorAlias alias => Leaf(new YamlAlias(At, Target(alias))),
            SequenceStart start => Sequence(start, depth),
            MappingStart start => Mapping(start, depth),
            _ => throw new ConfigSyntaxException(Line, "the YAML is not valid"),
        };
    }

    private YamlNode Target(AnchorAlias alias)
    {
        if (!_anchors.TryGetValue(alias.Value, out var target))
            throw new ConfigSyntaxException(Line, $"the alias '*{alias.Value}' names no anchor above it");
        return target ?? throw new ConfigSyntaxException(Line, $"the alias '*{alias.Value}' names a node that contains it");
    }

    private YamlSequence Sequence(SequenceStart start, int depth)
    {
        CheckTag(start.Tag);
        Open(start.Anchor);
        var sequence = new YamlSequence(At);
        while (parser.MoveNext() && parser.Current is not SequenceEnd)
            sequence.Items.Add(Node(depth + 1));
        if (sequence.Items.Count == 0) Leaf(sequence);
        return Anchored(start.Anchor, sequence);
    }

    private YamlMapping Mapping(MappingStart start, int depth)
    {
        CheckTag(start.Tag);
        Open(start.Anchor);
        var mapping = new YamlMapping(At);
        var seen = new HashSet<(bool Text, string Key)>();
        while (parser.MoveNext() && parser.Current is not MappingEnd)
        {
            var line = Line;
            if (parser.Current is Scalar { Value: "<<", Style: ScalarStyle.Plain, Tag.IsEmpty: true })
            {
                parser.MoveNext();
                mapping.Merges.Add(Node(depth + 1));
                continue;
            }
            var (text, key) = Key();
            if (!seen.Add((text, key))) throw new ConfigSyntaxException(line, $"the key '{key}' stands twice in one mapping");
            parser.MoveNext();
            mapping.Pairs.Add(new YamlPair(key, Node(depth + 1)));
        }
        if (mapping.Pairs.Count == 0) Leaf(mapping);
        return Anchored(start.Anchor, mapping);
    }

    /// <summary>The name of a key and whether it is a string; Spring writes other keys in brackets: <c>[1]</c>, <c>[true]</c>.</summary>
    private (bool Text, string Key) Key()
    {
        var node = parser.Current switch
        {
            Scalar scalar => Anchored(scalar.Anchor, new YamlScalar(At, YamlScalars.Resolve(scalar, Line))),
            AnchorAlias alias => Target(alias),
            _ => null,
        };
        if (node is not YamlScalar key) throw new ConfigSyntaxException(Line, "A key must be a scalar, not a list or a mapping.");
        return key.Value.Type switch
        {
            YamlType.String => (true, key.Value.Canonical),
            YamlType.Null => throw new ConfigSyntaxException(Line, "A key is empty or null; quote it if that is meant."),
            _ => (false, $"[{key.Value.Canonical}]"),
        };
    }

    private void Open(AnchorName anchor)
    {
        if (!anchor.IsEmpty) _anchors[anchor] = null;
    }

    private T Anchored<T>(AnchorName anchor, T node)
        where T : YamlNode
    {
        if (!anchor.IsEmpty) _anchors[anchor] = node;
        return node;
    }

    /// <summary>Every leaf becomes a key sooner or later; counting them here keeps the tree small before anything is flattened.</summary>
    private T Leaf<T>(T node)
        where T : YamlNode
    {
        if (++_leaves > ConfigLimits.KeysPerFile) throw new ConfigSyntaxException(Line, $"the file comes to more than {ConfigLimits.KeysPerFile} keys");
        return node;
    }

    private void CheckTag(TagName tag)
    {
        if (!YamlScalars.IsCollectionTag(tag)) throw new ConfigSyntaxException(Line, $"the tag '{tag}' is not supported");
    }
}
