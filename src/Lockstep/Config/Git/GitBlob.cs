namespace Lockstep.Config.Git;

internal enum GitBlobStatus
{
    Found,

    /// <summary>Over the reader's limit; only <see cref="GitBlob.Size"/> is known.</summary>
    TooLarge,

    /// <summary>Not in the repository, or not a blob.</summary>
    Missing,

    /// <summary>Git ended or hung over it again and again: most likely it is damaged. Ask again later, do not remember.</summary>
    Damaged,
}

internal readonly record struct GitBlob(GitBlobStatus Status, long Size, ReadOnlyMemory<byte> Content);

/// <summary>A commit in short, for people: bounded, without control characters.</summary>
internal sealed record GitCommitInfo(string Author, DateTimeOffset At, string Subject);
