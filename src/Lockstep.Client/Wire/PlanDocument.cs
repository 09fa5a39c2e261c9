namespace Lockstep.Client;

/// <summary>What a change would do to one document.</summary>
public sealed record PlanDocument
{
    /// <summary>The service.</summary>
    public required string Service { get; init; }

    /// <summary>The environment, or several joined by commas.</summary>
    public required string Environment { get; init; }

    /// <summary>The branch, tag or commit.</summary>
    public required string Label { get; init; }

    /// <summary><c>changes</c>, <c>breaks</c> (it would no longer resolve), <c>mends</c> (it would again) or <c>stays-broken</c>.</summary>
    public required string Outcome { get; init; }

    /// <summary>The keys that would be added, removed or changed, sorted; the first thousand.</summary>
    public IReadOnlyList<string> Keys { get; init => field = value ?? []; } = [];

    /// <summary>How many live instances follow it.</summary>
    public int Instances { get; init; }

    /// <summary>Why it would not resolve.</summary>
    public IReadOnlyList<ProblemError> Errors { get; init => field = value ?? []; } = [];

    /// <summary>A number or boolean that turns into text, a placeholder that names no key.</summary>
    public IReadOnlyList<ProblemError> Warnings { get; init => field = value ?? []; } = [];
}
