using System.Collections.ObjectModel;

namespace Lockstep.Client;

/// <summary>Body of <c>POST /v1/plan</c>: what would be changed, on top of what is there now.</summary>
public sealed record PlanRequest
{
    /// <summary>Files of the tracked branch by path: their new text, or null for one that is removed.</summary>
    public IReadOnlyDictionary<string, string?> Files { get; init => field = value ?? ReadOnlyDictionary<string, string?>.Empty; } = ReadOnlyDictionary<string, string?>.Empty;

    /// <summary>The version of each secret, by id, that would be the active one.</summary>
    public IReadOnlyDictionary<string, int> Secrets { get; init => field = value ?? ReadOnlyDictionary<string, int>.Empty; } = ReadOnlyDictionary<string, int>.Empty;
}
