namespace Lockstep.Client;

/// <summary>One numbered version of a secret.</summary>
public sealed record SecretVersion
{
    /// <summary>The number, from 1.</summary>
    public required int Version { get; init; }

    /// <summary><c>active</c>, <c>staged</c>, <c>superseded</c> or <c>destroyed</c>.</summary>
    public required string State { get; init; }

    /// <summary>When it was written.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>The name of the token that wrote it.</summary>
    public required string CreatedBy { get; init; }
}
