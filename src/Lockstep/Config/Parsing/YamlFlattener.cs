namespace Lockstep.Config.Parsing;

/// <summary>
/// Flattens a document as Spring's YamlProcessor does: <c>a.b[0].c</c>; null, empty lists and empty mappings are the empty string; a document that is
/// no mapping goes under the key <c>document</c>. Aliases and merge keys are expanded here and cost what they expand to.
/// </summary>
internal sealed class YamlFlattener(FlatEntries entries)
{
    private const int MaxMergedPairs = 20 * ConfigLimits.KeysPerFile;

    private static readonly ScalarValue s_empty = new(ScalarKind.String, "");

    private int _mergedPairs;

    public void Flatten(YamlNode root)
    {
        if (root is YamlMapping mapping) Pairs(mapping, "", 0);
        else Value(root, "document", 0);
    }

    /// <summary>How Spring joins a path and the next part of a key.</summary>
    public static string Join(string path, string key) =>
        string.IsNullOrWhiteSpace(path) ? key : key.StartsWith('[') ? path + key : path + "." + key;

    private void Value(YamlNode node, string path, int depth)
    {
        if (depth > ConfigLimits.Depth)
            throw new ConfigSyntaxException(entries.BlameLine ?? node.Line, $"the YAML nests deeper than {ConfigLimits.Depth} levels after its aliases are expanded");
        switch (node)
        {
            case YamlScalar scalar:
                entries.Add(path, scalar.Value.Value, node.Line, node.Column);
                break;
            case YamlAlias alias:
                var outer = entries.BlameLine;
                entries.BlameLine ??= alias.Line;
                Value(alias.Target, path, depth + 1);
                entries.BlameLine = outer;
                break;
            case YamlSequence { Items: var items }:
                if (items.Count == 0) entries.Add(path, s_empty, node.Line, node.Column);
                for (var i = 0; i < items.Count; i++) Value(items[i], $"{path}[{i}]", depth + 1);
                break;
            case YamlMapping mapping:
                if (!Pairs(mapping, path, depth)) entries.Add(path, s_empty, node.Line, node.Column);
                break;
        }
    }

    private bool Pairs(YamlMapping mapping, string path, int depth)
    {
        var pairs = Effective(mapping, 0);
        foreach (var (key, value) in pairs) Value(value, Join(path, key), depth + 1);
        return pairs.Count > 0;
    }

    /// <summary>A mapping's own keys win over merged ones, an earlier merged mapping over a later (yaml.org/type/merge).</summary>
    private List<YamlPair> Effective(YamlMapping mapping, int depth)
    {
        if (mapping.Effective is { } known) return known;
        if (mapping.Merges.Count == 0) return mapping.Effective = mapping.Pairs;
        if (depth > ConfigLimits.Depth) throw new ConfigSyntaxException(mapping.Line, $"merge keys nest deeper than {ConfigLimits.Depth} levels");
        var own = mapping.Pairs.Select(p => p.Key).ToHashSet(StringComparer.Ordinal);
        var merged = new List<YamlPair>();
        foreach (var source in mapping.Merges.SelectMany(Sources))
        {
            foreach (var pair in Effective(source, depth + 1))
            {
                if (++_mergedPairs > MaxMergedPairs)
                    throw new ConfigSyntaxException(mapping.Line, "merge keys expand to too much; the file looks like an alias bomb");
                if (own.Add(pair.Key)) merged.Add(pair);
            }
        }
        return mapping.Effective = [.. merged, .. mapping.Pairs];
    }

    private static IEnumerable<YamlMapping> Sources(YamlNode node)
    {
        var line = node.Line;
        if (Unaliased(node) is YamlSequence list)
        {
            foreach (var item in list.Items)
                yield return Unaliased(item) as YamlMapping ?? throw NotMergeable(line);
        }
        else
        {
            yield return Unaliased(node) as YamlMapping ?? throw NotMergeable(line);
        }
    }

    private static YamlNode Unaliased(YamlNode node) => node is YamlAlias { Target: var target } ? target : node;

    private static ConfigSyntaxException NotMergeable(int line) => new(line, "the value of a merge key '<<' must be a mapping or a list of mappings");
}
