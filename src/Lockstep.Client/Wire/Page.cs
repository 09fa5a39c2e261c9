namespace Lockstep.Client;

/// <summary>One page of a list.</summary>
public sealed record Page<T>
{
    /// <summary>The items of this page, in the order of the list.</summary>
    public required IReadOnlyList<T> Items { get; init; }

    /// <summary>Where the next page starts; null at the end.</summary>
    public string? Next { get; init; }
}
