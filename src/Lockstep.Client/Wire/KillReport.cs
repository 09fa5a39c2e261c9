namespace Lockstep.Client;

/// <summary>What a kill did, or would do.</summary>
public sealed record KillReport
{
    /// <summary>The service tokens that were ended. Tokens of issuers are kept by nobody here and are not listed.</summary>
    public required IReadOnlyList<KilledToken> Tokens { get; init; }

    /// <summary>Tokens of issuers in scope that were issued until then are dead too; null: no issuer is trusted, or nothing was done.</summary>
    public DateTimeOffset? IssuedUntil { get; init; }

    /// <summary>What the service tokens, and the subject that was named, were given, by the record; null for an issuer as a whole, when nothing was done, or when it took more than ten seconds:
    /// <c>GET /v1/audit/exposure</c> tells.</summary>
    public ExposureReport? Exposure { get; init; }
}
