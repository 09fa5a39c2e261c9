using System.Collections.Immutable;
using Lockstep.Config.Git;
using Lockstep.Secrets;
using Lockstep.Settings;

namespace Lockstep.Releases;

/// <summary>The state of everything at one release: where Git's refs stand, the active version of every secret, and the pins.</summary>
internal sealed record ReleaseState(long Number, DateTimeOffset At)
{
    // What Active was made of, by which change: so that a release of one secret need not be compared with all others.
    private (ImmutableDictionary<SecretId, int>? From, SecretId Id) _activation;

    /// <summary>Full ref name (<c>refs/heads/main</c>) → commit.</summary>
    public ImmutableDictionary<string, string> Refs { get; init; } = ImmutableDictionary.Create<string, string>(StringComparer.Ordinal);

    public ImmutableDictionary<SecretId, int> Active { get; init; } = ImmutableDictionary<SecretId, int>.Empty;

    public ImmutableDictionary<PinKey, long> Pins { get; init; } = ImmutableDictionary<PinKey, long>.Empty;

    /// <summary>The settings that shape documents.</summary>
    public DocumentShape Shape { get; init; } = DocumentShape.Of(new ConfigOptions());

    /// <summary>The same state under the next number, now.</summary>
    public ReleaseState Next(TimeProvider time) => this with { Number = Number + 1, At = time.GetUtcNow() };

    /// <summary>The same state with another active version of a secret; null: none.</summary>
    public ReleaseState Activate(SecretId id, int? version) => this with
    {
        Active = version is { } number ? Active.SetItem(id, number) : Active.Remove(id),
        _activation = (Active, id),
    };

    /// <summary>The secrets whose active version differs from <paramref name="old"/>.</summary>
    public IEnumerable<SecretId> ActivatedSince(ReleaseState old)
    {
        if (ReferenceEquals(old.Active, Active)) return [];
        return ReferenceEquals(_activation.From, old.Active) ? [_activation.Id] : old.Active.Except(Active).Concat(Active.Except(old.Active)).Select(a => a.Key).Distinct();
    }

    public int? ActiveVersion(SecretId id) => Active.TryGetValue(id, out var version) ? version : null;

    /// <summary>The commit a branch or tag stands at; branches win over tags of the same name. A full commit id is none, also where a ref is named so: it means that commit alone.</summary>
    public string? CommitOf(string label) =>
        !GitNames.IsFullId(label) && (Refs.TryGetValue(GitNames.BranchRef(label), out var commit) || Refs.TryGetValue("refs/tags/" + label, out commit)) ? commit : null;
}

internal readonly record struct PinKey(string Service, string Environment);
