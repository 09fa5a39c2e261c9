using System.Collections.Immutable;

namespace Lockstep.Config.Git;

internal enum GitFileKind { None, File, Link, Submodule }

/// <summary>One path in which two commits differ.</summary>
/// <param name="Path">Null when it is not UTF-8.</param>
/// <param name="Shown">The path for people.</param>
/// <param name="From">What was there.</param>
/// <param name="To">What is there now; <see cref="GitFileKind.None"/> when it was removed.</param>
/// <param name="FromId">The blob that was there; zeros for none.</param>
/// <param name="ToId">The blob that is there now; zeros for none.</param>
internal sealed record GitFileChange(string? Path, string Shown, GitFileKind From, GitFileKind To, string FromId, string ToId)
{
    /// <summary>Whether a file that documents may be made of is there now.</summary>
    public bool IsConfig => To == GitFileKind.File && Path is not null && ConfigTree.IsConfigFile(Path);

    /// <summary>Whether such a file was there before.</summary>
    public bool WasConfig => From == GitFileKind.File && Path is not null && ConfigTree.IsConfigFile(Path);
}

/// <summary>What one commit changes.</summary>
/// <param name="Commit">Its id.</param>
/// <param name="Changes">Against its parent. Of a merge those files that are as in none of its parents, once for each parent.</param>
internal sealed record GitCommitChanges(string Commit, ImmutableArray<GitFileChange> Changes);
