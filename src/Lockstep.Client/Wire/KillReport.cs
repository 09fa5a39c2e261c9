namespace Lockstep.Client;

/// <summary>What a kill did, or would do.</summary>
public sealed record KillReport
{
    /// <summary>The service tokens that were ended. Tokens of issuers are kept by nobody here and are not listed.</summary>
    public required IReadOnlyList<KilledToken> Tokens { get; init; }
}
