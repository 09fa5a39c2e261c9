using System.Collections.Immutable;
using Lockstep.Config;
using Lockstep.Storage;

namespace Lockstep.Releases;

/// <summary>A change on its way to becoming a release.</summary>
/// <param name="Kind">git, secret, pin or shape.</param>
/// <param name="Actor">Who makes it: a token's name, a commit's author, <c>system:…</c>.</param>
/// <param name="Next">The state it leads to; the present state itself when it makes no release.</param>
internal sealed record ReleaseChange(string Kind, string Actor, ReleaseState Next)
{
    public string? Message { get; init; }

    /// <summary>Commits that must be kept from now on.</summary>
    public ImmutableArray<string> Commits { get; init; } = [];

    /// <summary>What else is written in the same transaction, such as the secret's rows and the audit entry.</summary>
    public Action<SqlSession>? Persist { get; init; }

    /// <summary>Which documents the one who makes it may be told of when they would break.</summary>
    public Func<DocumentKey, bool> MayName { get; init; } = _ => true;

    /// <summary>Whether it goes ahead although known documents become invalid: what comes from Git, and what is forced.</summary>
    public bool MayBreak { get; init; }
}

/// <summary>What a change came to.</summary>
/// <param name="Release">The newest release now.</param>
/// <param name="Changes">The known documents that changed.</param>
internal sealed record ReleaseOutcome(ReleaseState Release, ImmutableArray<DocumentChange> Changes);

/// <summary>A known document that changed at a release.</summary>
/// <param name="Key">The document.</param>
/// <param name="ETag">Of the whole document; null when it became invalid.</param>
/// <param name="Keys">The keys that were added, removed or changed, sorted; null for the first sight of the document.</param>
internal sealed record DocumentChange(DocumentKey Key, string? ETag, ImmutableArray<string>? Keys)
{
    /// <summary>Why it became invalid; null when it did not.</summary>
    public string? Reason { get; init; }
}
