using System.Collections.Immutable;
using Lockstep.Config;

namespace Lockstep.Releases;

/// <summary>The keys that differ between two resolutions of a document. Keys with secrets are compared by where they come from and the versions, never by value.</summary>
internal sealed record DocumentDiff(ImmutableArray<string> Added, ImmutableArray<string> Removed, ImmutableArray<ChangedKey> Changed)
{
    public IEnumerable<string> Keys => Added.Concat(Removed).Concat(Changed.Select(c => c.Key)).Order(StringComparer.Ordinal);

    public static DocumentDiff Between(Resolution from, Resolution to)
    {
        var old = from.Values.ToDictionary(v => v.Key, v => v.Value, StringComparer.Ordinal);
        var added = ImmutableArray.CreateBuilder<string>();
        var changed = ImmutableArray.CreateBuilder<ChangedKey>();
        foreach (var (key, value, _) in to.Values)
        {
            if (!old.Remove(key, out var before)) added.Add(key);
            else if (!Same(before, from, value, to)) changed.Add(new ChangedKey(key, Describe(before, from), Describe(value, to)));
        }
        return new DocumentDiff(added.ToImmutable(), [.. old.Keys.Order(StringComparer.Ordinal)], changed.ToImmutable());
    }

    private static bool Same(ConfigValue a, Resolution inA, ConfigValue b, Resolution inB)
    {
        if (!a.References.SequenceEqual(b.References)) return false;
        if (a.References.Any(r => inA.Secrets[r].Version != inB.Secrets[r].Version)) return false;
        return (a, b) switch
        {
            (ConfigValue.Text x, ConfigValue.Text y) => x.Parts.SequenceEqual(y.Parts),
            _ => a == b,
        };
    }

    // A plain value as it is; of a value with secrets only ids and versions.
    private static DiffSide Describe(ConfigValue value, Resolution resolution) => value is ConfigValue.Scalar scalar
        ? new DiffSide(scalar.Value, [])
        : new DiffSide(null, [.. value.References.Select(r => $"{r.Id}@{resolution.Secrets[r].Version}").Distinct(StringComparer.Ordinal)]);
}

internal sealed record ChangedKey(string Key, DiffSide From, DiffSide To);

/// <summary>One side of a changed key: a plain value, or the secret versions it is built of.</summary>
internal sealed record DiffSide(ScalarValue? Value, ImmutableArray<string> Secrets);
