using Lockstep.Config;

namespace Lockstep.Compat.Spring;

/// <summary>
/// Which keys the flat forms show: every key, but of those with an index only the ones of the highest source that has any with the same beginning, so that lists
/// replace each other whole. An empty list is a scalar, and stands beside them.
/// </summary>
internal static class FlatKeys
{
    // A leftover of Spring Boot 2 that says nothing about the values.
    private const string Dropped = "spring.profiles";

    /// <summary>Sorted, ordinal.</summary>
    /// <param name="sources">Highest precedence first.</param>
    public static IReadOnlyCollection<string> Of(IReadOnlyList<PropertySource> sources)
    {
        var keys = new SortedSet<string>(StringComparer.Ordinal);
        var listed = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var i = 0; i < sources.Count; i++)
        {
            foreach (var entry in sources[i].Entries)
            {
                var bracket = entry.Key.IndexOf('[', StringComparison.Ordinal);
                if (bracket < 0 ? entry.Key != Dropped : listed.TryAdd(entry.Key[..bracket], i) || listed[entry.Key[..bracket]] == i) keys.Add(entry.Key);
            }
        }
        return keys;
    }
}
