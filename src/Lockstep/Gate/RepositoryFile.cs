namespace Lockstep.Gate;

/// <summary>A file of the repository as it is at a branch, tag or commit.</summary>
/// <param name="Release">The newest release when it was read.</param>
/// <param name="ETag">The blob's id in quotes: strong, as the bytes are the very same.</param>
internal sealed record RepositoryFile(long Release, string ETag, ReadOnlyMemory<byte> Content);

/// <summary>A file as somebody wants it to be.</summary>
/// <param name="Path">Where.</param>
/// <param name="Content">What; null deletes it.</param>
/// <param name="Holds">Whether the caller's condition holds for the ETag that is there; null when there is no file.</param>
internal sealed record FileWrite(string Path, byte[]? Content, Func<string?, bool> Holds)
{
    /// <summary>The branch; null: the tracked one.</summary>
    public string? Label { get; init; }

    /// <summary>Of the commit; null: made of the path.</summary>
    public string? Message { get; init; }
}

/// <summary>What a write of a file came to.</summary>
/// <param name="Commit">Where the branch stands now.</param>
/// <param name="ETag">Of the file that is there now; null when there is none.</param>
internal sealed record FileWritten(string Commit, string? ETag, Releases.ReleaseOutcome Outcome);
