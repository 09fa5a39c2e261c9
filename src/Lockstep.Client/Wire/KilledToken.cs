namespace Lockstep.Client;

/// <summary>A token that a kill ended.</summary>
public sealed record KilledToken
{
    /// <summary>The public id.</summary>
    public required string Id { get; init; }

    /// <summary>The name, by which a roll revives it.</summary>
    public required string Name { get; init; }
}
