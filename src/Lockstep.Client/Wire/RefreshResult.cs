namespace Lockstep.Client;

/// <summary>What a refresh, a rollback or an unpin came to.</summary>
public sealed record RefreshResult
{
    /// <summary>The newest release.</summary>
    public required long Release { get; init; }

    /// <summary>The commit the tracked branch stands at; null when the repository is empty.</summary>
    public string? Commit { get; init; }

    /// <summary>The known documents that it changed, as far as the caller may read them.</summary>
    public IReadOnlyList<DocumentName> Changed { get; init => field = value ?? []; } = [];
}
