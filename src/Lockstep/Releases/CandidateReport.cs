using System.Collections.Immutable;
using Lockstep.Config;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>What a change would come to that nobody has made yet. Values of secrets are not in it.</summary>
/// <param name="Live">The state it was worked out on.</param>
/// <param name="Next">The state it leads to.</param>
internal sealed record CandidateReport(LiveState Live, ReleaseState Next)
{
    /// <summary>The known documents that change, break, or are looked at and stay broken; by key.</summary>
    public ImmutableArray<CandidateDocument> Documents { get; init; } = [];

    /// <summary>What is wrong with the files of the tracked branch: they do not parse, or their names can't be used.</summary>
    public ImmutableArray<ConfigError> Errors { get; init; } = [];

    /// <summary>What is odd about the files: links, references that can't be read, and on other branches what would be an error on the tracked one.</summary>
    public ImmutableArray<ConfigError> Warnings { get; init; } = [];

    /// <summary>How many errors and warnings of the files there are beyond those that are listed.</summary>
    public int Unlisted { get; init; }

    /// <summary>The paths, of whatever kind, that change; of names that are not UTF-8 what can be shown.</summary>
    public IReadOnlySet<string> Paths { get; init; } = new HashSet<string>(StringComparer.Ordinal);

    /// <summary>The secrets that a changed file or a document refers to as it did not before: whole, by another field, or at another version.</summary>
    public ImmutableSortedSet<SecretId> AddedSecrets { get; init; } = [];

    /// <summary>The commits on the way there, as far as they were asked for.</summary>
    public ImmutableArray<CandidateCommit> Commits { get; init; } = [];

    /// <summary>The documents that were valid and would not be.</summary>
    public IEnumerable<CandidateDocument> Broken => Documents.Where(d => d.Breaks);

    /// <summary>Whether it can be accepted: every file parses, and every document that did resolve still does.</summary>
    public bool IsSound => Errors.IsEmpty && !Broken.Any();
}

/// <summary>A commit on the way to a candidate.</summary>
/// <param name="Id">Of the commit.</param>
/// <param name="Paths">The paths, of whatever kind, that it changes; of names that are not UTF-8 what can be shown.</param>
/// <param name="AddedSecrets">The secrets that a file of it refers to and did not before.</param>
internal sealed record CandidateCommit(string Id, IReadOnlySet<string> Paths, IReadOnlySet<SecretId> AddedSecrets);

/// <summary>A known document that a candidate changes, breaks, or leaves broken.</summary>
/// <param name="Key">The document.</param>
/// <param name="WasValid">Whether it resolves now.</param>
/// <param name="IsValid">Whether it would then.</param>
internal sealed record CandidateDocument(DocumentKey Key, bool WasValid, bool IsValid)
{
    /// <summary>Whether its readers would see something else, or it would no longer resolve.</summary>
    public bool Changes { get; init; }

    /// <summary>The keys that are added, removed or changed, sorted; the first thousand.</summary>
    public ImmutableArray<string> Keys { get; init; } = [];

    /// <summary>Why it does not resolve.</summary>
    public ImmutableArray<ConfigError> Errors { get; init; } = [];

    /// <summary>Numbers and booleans that turn into text, and placeholders that name no key, as far as they did before.</summary>
    public ImmutableArray<ConfigError> Warnings { get; init; } = [];

    /// <summary>Whether it may stop resolving: the one who makes the change takes its branch or tag away.</summary>
    public bool MayBreak { get; init; }

    public bool Breaks => WasValid && !IsValid && !MayBreak;
}
