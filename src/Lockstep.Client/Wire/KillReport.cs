namespace Lockstep.Client;

/// <summary>What a kill did, or would do.</summary>
public sealed record KillReport
{
    /// <summary>The service tokens that were ended. Tokens of issuers are kept by nobody here and are not listed.</summary>
    public required IReadOnlyList<KilledToken> Tokens { get; init; }

    /// <summary>What they were given, by the record; null when nothing was ended yet, or it took more than ten seconds: <c>GET /v1/audit/exposure</c> tells.</summary>
    public ExposureReport? Exposure { get; init; }
}
