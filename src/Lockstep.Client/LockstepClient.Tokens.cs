namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    /// <summary>Creates a service token; its text is in the answer and nowhere else.</summary>
    public Task<TokenCreated> CreateTokenAsync(TokenCreate token, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/tokens"), Body(token, LockstepJson.Default.TokenCreate), LockstepJson.Tolerant.TokenCreated, cancellationToken);

    /// <summary>The service tokens, revoked ones too.</summary>
    public Task<Page<TokenInfo>> ListTokensAsync(CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/tokens"), LockstepJson.Tolerant.TokenPage, cancellationToken);

    /// <summary>Gives a token a new text. The old one ends now, or after <paramref name="grace"/>.</summary>
    public Task<TokenCreated> RollTokenAsync(string name, TimeSpan? grace = null, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/tokens").Segment("the token", name).Word("roll").Query("grace", grace is { } g ? Durations.Format(g) : null),
            null, LockstepJson.Tolerant.TokenCreated, cancellationToken);

    /// <summary>Ends a token now.</summary>
    public async Task RevokeTokenAsync(string name, CancellationToken cancellationToken = default) =>
        (await SendAsync(HttpMethod.Delete, new Route("v1/tokens").Segment("the token", name), null, cancellationToken)).Dispose();

    /// <summary>Entries of the record, newest first, at most 1000; <see cref="Page{T}.Next"/> as <paramref name="after"/> leads to older ones.</summary>
    public Task<Page<AuditEntryInfo>> ListAuditAsync(string? after = null, int? limit = null, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/audit").Query("after", after).Query("limit", limit), LockstepJson.Tolerant.AuditPage, cancellationToken);

    /// <summary>Whether the record is as it was written.</summary>
    public Task<AuditVerification> VerifyAuditAsync(CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/audit/verify"), LockstepJson.Tolerant.AuditVerification, cancellationToken);
}
