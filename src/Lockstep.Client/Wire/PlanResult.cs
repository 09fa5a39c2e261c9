namespace Lockstep.Client;

/// <summary>What a change would come to.</summary>
public sealed record PlanResult
{
    /// <summary>The release it was worked out on.</summary>
    public required long Release { get; init; }

    /// <summary>The commit it was worked out on; null while the tracked branch is empty.</summary>
    public string? Commit { get; init; }

    /// <summary>Whether a push of it would be accepted as far as files and documents go: every changed file parses and no document breaks.</summary>
    public required bool Valid { get; init; }

    /// <summary>The known documents that change, break or stay broken, as far as the caller may read them.</summary>
    public IReadOnlyList<PlanDocument> Documents { get; init => field = value ?? []; } = [];

    /// <summary>How many other documents change; the caller may not read them.</summary>
    public int Others { get; init; }

    /// <summary>What is wrong with the changed files themselves.</summary>
    public IReadOnlyList<ProblemError> Errors { get; init => field = value ?? []; } = [];

    /// <summary>What is odd about them.</summary>
    public IReadOnlyList<ProblemError> Warnings { get; init => field = value ?? []; } = [];
}
