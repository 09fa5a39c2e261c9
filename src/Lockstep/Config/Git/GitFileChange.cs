using System.Collections.Immutable;

namespace Lockstep.Config.Git;

internal enum GitFileKind { None, File, Link, Submodule }

/// <summary>One path in which two commits differ.</summary>
/// <param name="Path">Null when it is not UTF-8.</param>
/// <param name="Text">The path, as far as it can be read.</param>
/// <param name="Old">What was there, and its blob.</param>
/// <param name="New">What is there now, <see cref="GitFileKind.None"/> when it was removed, and its blob.</param>
internal sealed record GitFileChange(string? Path, string Text, (GitFileKind Kind, string Id) Old, (GitFileKind Kind, string Id) New)
{
    /// <summary>The path for people.</summary>
    public string Shown => GitNames.Shown(Text);

    /// <summary>Whether a file that documents may be made of is there now.</summary>
    public bool IsConfig => New.Kind == GitFileKind.File && Path is not null && ConfigTree.IsConfigFile(Path);

    /// <summary>Whether such a file was there before.</summary>
    public bool WasConfig => Old.Kind == GitFileKind.File && Path is not null && ConfigTree.IsConfigFile(Path);
}

/// <summary>A commit that somebody brings.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Parents">What it was made of: none, one, or of a merge several.</param>
internal sealed record GitNewCommit(string Id, ImmutableArray<string> Parents);
