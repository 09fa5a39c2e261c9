using System.Text.Json;

namespace Lockstep.Client;

/// <summary>What lies between two documents.</summary>
internal static class SnapshotDelta
{
    /// <summary>The document after a <c>change</c>, which must be one of the release that is held.</summary>
    public static Snapshot Apply(Snapshot held, ServerFrame change)
    {
        var release = change.Release ?? throw change.Missing("release");
        if (release < held.Release) throw new JsonException("A change leads to an earlier release.");
        var values = new Dictionary<string, JsonElement>(held.Values, StringComparer.Ordinal);
        foreach (var key in change.Unset ?? []) values.Remove(key);
        var grew = false;
        foreach (var (key, value) in change.Set ?? [])
        {
            grew |= !values.ContainsKey(key);
            values[key] = value;
        }
        return held with
        {
            Release = release,
            Commit = change.Commit,
            Pinned = change.Pinned,
            ETag = change.ETag ?? throw change.Missing("etag"),
            // A dictionary keeps the order in which keys came until one is taken out.
            Values = grew ? values.OrderBy(v => v.Key, StringComparer.Ordinal).ToDictionary(StringComparer.Ordinal) : values,
            Secrets = change.Secrets ?? held.Secrets,
            Withheld = change.Withheld ?? held.Withheld,
        };
    }

    /// <summary>The keys that were added, removed, have another value, or became or ceased to be secret or withheld; sorted.</summary>
    public static IReadOnlyList<string> Keys(Snapshot one, Snapshot other)
    {
        if (ReferenceEquals(one.Values, other.Values) && ReferenceEquals(one.Secrets, other.Secrets) && ReferenceEquals(one.Withheld, other.Withheld)) return [];
        var keys = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (key, value) in other.Values)
            if (!one.Values.TryGetValue(key, out var before) || !SameText(before, value)) keys.Add(key);
        foreach (var key in one.Values.Keys)
            if (!other.Values.ContainsKey(key)) keys.Add(key);
        keys.UnionWith(OnlyInOne(one.Secrets, other.Secrets));
        keys.UnionWith(OnlyInOne(one.Withheld, other.Withheld));
        return [.. keys.Order(StringComparer.Ordinal)];
    }

    /// <summary>Whether an application sees the same in both.</summary>
    public static bool SameData(Snapshot one, Snapshot other) => Keys(one, other).Count == 0;

    // 1 and 1.0 are the same number and different texts, and it is the text that ends up in a variable or a file.
    private static bool SameText(JsonElement one, JsonElement other) =>
        one.ValueKind == other.ValueKind
        && (one.ValueKind == JsonValueKind.String ? one.ValueEquals(other.GetString()) : one.GetRawText() == other.GetRawText());

    private static HashSet<string> OnlyInOne(IReadOnlyList<string> one, IReadOnlyList<string> other)
    {
        var difference = new HashSet<string>(one, StringComparer.Ordinal);
        difference.SymmetricExceptWith(other);
        return difference;
    }
}
