namespace Lockstep.Client;

/// <summary>The live instances of a document.</summary>
public sealed record FleetPage
{
    /// <summary>The newest release when they were listed.</summary>
    public required long Release { get; init; }

    /// <summary>The instances, by token and name.</summary>
    public required IReadOnlyList<FleetInstance> Items { get; init; }

    /// <summary>Null: the list is whole.</summary>
    public string? Next { get; init; }
}
