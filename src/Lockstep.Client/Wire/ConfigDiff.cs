namespace Lockstep.Client;

/// <summary>How a document differs between two releases.</summary>
public sealed record ConfigDiff
{
    /// <summary>The older side.</summary>
    public required long From { get; init; }

    /// <summary>The newer side.</summary>
    public required long To { get; init; }

    /// <summary>Keys that only the newer side has, sorted.</summary>
    public IReadOnlyList<string> Added { get; init => field = value ?? []; } = [];

    /// <summary>Keys that only the older side has, sorted.</summary>
    public IReadOnlyList<string> Removed { get; init => field = value ?? []; } = [];

    /// <summary>Keys whose value differs, sorted.</summary>
    public IReadOnlyList<ConfigChange> Changed { get; init => field = value ?? []; } = [];
}
