using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Client;

/// <summary>A document at a release: what one service in one environment is configured with. The head (release, commit, stale, pinned) comes
/// first; the ETag covers the rest.</summary>
[JsonConverter(typeof(SnapshotConverter))]
public sealed record Snapshot
{
    /// <summary>The release it was read at.</summary>
    public required long Release { get; init; }

    /// <summary>The Git commit of the label at that release; null while the repository is empty.</summary>
    public required string? Commit { get; init; }

    /// <summary>Null when it is up to date (<c>false</c> on the wire); else since when it is not, and why.</summary>
    public StaleInfo? Stale { get; init; }

    /// <summary>The release the document is pinned to; absent when it follows the branch.</summary>
    public long? Pinned { get; init; }

    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>The environment, or several joined by commas, the last one winning.</summary>
    public required string Environment { get; init; }

    /// <summary>The Git branch, tag or commit.</summary>
    public required string Label { get; init; }

    /// <summary>Flat keys and their scalar values, sorted by key (ordinal).</summary>
    public required IReadOnlyDictionary<string, JsonElement> Values { get; init; }

    /// <summary>The keys that derive from a secret, sorted; withheld ones are not among them.</summary>
    public IReadOnlyList<string> Secrets { get; init; } = [];

    /// <summary>The keys that are left out because the caller may not see a secret they derive from, sorted.</summary>
    public IReadOnlyList<string> Withheld { get; init; } = [];

    /// <summary>What a watch connection named it by; no part of the document.</summary>
    internal string? ETag { get; init; }

    /// <summary>The head and the number of keys; never a value.</summary>
    public override string ToString() => $"{Service}/{Environment}@{Label} at release {Release}: {Values.Count} keys, {Withheld.Count} withheld";
}
