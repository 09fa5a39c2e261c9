using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>
/// Merges sources key by key: the first source that has a key wins. A list is one value: <c>a.b[0]</c>, <c>a.b[1]</c> of the highest source that has
/// <c>a.b</c>, as a list or as a scalar such as the empty list, replace those of all lower ones.
/// </summary>
internal static class SourceMerge
{
    public static SortedDictionary<string, MergedEntry> Merge(ImmutableArray<PropertySource> sources)
    {
        var merged = new SortedDictionary<string, MergedEntry>(StringComparer.Ordinal);
        var owners = new Dictionary<string, int>(sources.Sum(s => s.Entries.Length), StringComparer.Ordinal);
        for (var i = 0; i < sources.Length; i++)
        {
            foreach (var entry in sources[i].Entries)
            {
                var stem = ListStem(entry.Key);
                if (!owners.TryAdd(stem, i) && owners[stem] != i) continue;
                merged.TryAdd(entry.Key, new MergedEntry(entry.Scalar, new SourceLocation(sources[i].Path, entry.Line)));
            }
        }
        return merged;
    }

    /// <summary>The key up to its first index; brackets around anything but a number belong to the name.</summary>
    private static string ListStem(string key)
    {
        for (var open = key.IndexOf('[', StringComparison.Ordinal); open >= 0; open = key.IndexOf('[', open + 1))
        {
            var end = open + 1;
            while (end < key.Length && char.IsAsciiDigit(key[end])) end++;
            if (end > open + 1 && end < key.Length && key[end] == ']') return key[..open];
        }
        return key;
    }
}

/// <summary>The value that won, before placeholders.</summary>
internal readonly record struct MergedEntry(ConfigValue.Scalar Scalar, SourceLocation Location)
{
    public ScalarValue Value => Scalar.Value;
}
