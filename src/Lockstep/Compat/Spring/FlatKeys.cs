using Lockstep.Config;

namespace Lockstep.Compat.Spring;

/// <summary>
/// Which keys the flat forms show: every key, but of those with an index only the ones of the highest source that has any with the same beginning, so that lists
/// replace each other whole.
/// </summary>
internal static class FlatKeys
{
    // A leftover of Spring Boot 2 that says nothing about the values.
    private const string Dropped = "spring.profiles";

    /// <summary>Sorted, ordinal.</summary>
    /// <param name="sources">Highest precedence first.</param>
    public static IReadOnlyCollection<string> Of(IReadOnlyList<PropertySource> sources)
    {
        var plain = new Dictionary<string, int>(StringComparer.Ordinal);
        var listed = new Dictionary<string, (int Source, HashSet<string> Keys)>(StringComparer.Ordinal);
        for (var i = 0; i < sources.Count; i++)
        {
            foreach (var entry in sources[i].Entries)
            {
                var bracket = entry.Key.IndexOf('[', StringComparison.Ordinal);
                if (bracket < 0)
                {
                    plain.TryAdd(entry.Key, i);
                    continue;
                }
                var stem = entry.Key[..bracket];
                if (!listed.TryGetValue(stem, out var list)) listed.Add(stem, list = (i, new HashSet<string>(StringComparer.Ordinal)));
                if (list.Source == i) list.Keys.Add(entry.Key);
            }
        }
        var keys = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var (key, source) in plain)
            // An empty list is a scalar; the higher of the two says which it is.
            if (key != Dropped && !(listed.TryGetValue(key, out var list) && list.Source < source)) keys.Add(key);
        foreach (var (stem, list) in listed)
            if (!plain.TryGetValue(stem, out var source) || list.Source <= source) keys.UnionWith(list.Keys);
        return keys;
    }
}
