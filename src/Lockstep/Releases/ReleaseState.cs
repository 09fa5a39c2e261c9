using System.Collections.Immutable;
using Lockstep.Config.Git;
using Lockstep.Secrets;
using Lockstep.Settings;

namespace Lockstep.Releases;

/// <summary>The state of everything at one release: where Git's refs stand, the active version of every secret, and the pins.</summary>
internal sealed record ReleaseState(long Number, DateTimeOffset At)
{
    /// <summary>Full ref name (<c>refs/heads/main</c>) → commit.</summary>
    public ImmutableDictionary<string, string> Refs { get; init; } = ImmutableDictionary.Create<string, string>(StringComparer.Ordinal);

    public ImmutableDictionary<SecretId, int> Active { get; init; } = ImmutableDictionary<SecretId, int>.Empty;

    public ImmutableDictionary<PinKey, long> Pins { get; init; } = ImmutableDictionary<PinKey, long>.Empty;

    /// <summary>The settings that shape documents.</summary>
    public DocumentShape Shape { get; init; } = DocumentShape.Of(new ConfigOptions());

    /// <summary>The same state under the next number, now.</summary>
    public ReleaseState Next(TimeProvider time) => this with { Number = Number + 1, At = time.GetUtcNow() };

    public int? ActiveVersion(SecretId id) => Active.TryGetValue(id, out var version) ? version : null;

    /// <summary>The commit a branch or tag stands at; branches win over tags of the same name.</summary>
    public string? CommitOf(string label) =>
        Refs.TryGetValue(GitNames.BranchRef(label), out var commit) || Refs.TryGetValue("refs/tags/" + label, out commit) ? commit : null;
}

internal readonly record struct PinKey(string Service, string Environment);
