namespace Lockstep.Client;

/// <summary>A token that lives on.</summary>
public sealed record TokenRenewed
{
    /// <summary>The public id.</summary>
    public required string Id { get; init; }

    /// <summary>The name.</summary>
    public required string Name { get; init; }

    /// <summary>When it ends unless it is renewed again.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }
}
