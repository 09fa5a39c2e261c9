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

    /// <summary>Makes a token that dies with the one this client shows, and permits no more.</summary>
    public Task<TokenCreated> DeriveTokenAsync(TokenDerive token, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/tokens/derive"), Body(token, LockstepJson.Default.TokenDerive), LockstepJson.Tolerant.TokenCreated, cancellationToken);

    /// <summary>Makes the token that this client shows live on, if it was made so; null: for as long as it was made for.</summary>
    public Task<TokenRenewed> RenewTokenAsync(TimeSpan? expiresIn = null, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/tokens/renew"), Body(new TokenRenew { ExpiresIn = expiresIn }, LockstepJson.Default.TokenRenew), LockstepJson.Tolerant.TokenRenewed, cancellationToken);

    /// <summary>Ends many tokens now, or tells which those would be.</summary>
    public Task<KillReport> KillAsync(KillRequest request, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/kill"), Body(request, LockstepJson.Default.KillRequest), LockstepJson.Tolerant.KillReport, cancellationToken);

    /// <summary>Every role.</summary>
    public Task<Page<RoleInfo>> ListRolesAsync(CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/roles"), LockstepJson.Tolerant.RolePage, cancellationToken);

    /// <summary>One role.</summary>
    public Task<RoleInfo> GetRoleAsync(string name, CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/roles").Segment("the role", name), LockstepJson.Tolerant.RoleInfo, cancellationToken);

    /// <summary>Makes or changes a role of the database.</summary>
    public Task<RoleInfo> PutRoleAsync(string name, RolePut role, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Put, new Route("v1/roles").Segment("the role", name), Body(role, LockstepJson.Default.RolePut), LockstepJson.Tolerant.RoleInfo, cancellationToken);

    /// <summary>Deletes a role of the database. Refused while tokens have it, unless <paramref name="force"/> is set.</summary>
    public async Task DeleteRoleAsync(string name, bool force = false, CancellationToken cancellationToken = default) =>
        (await SendAsync(HttpMethod.Delete, new Route("v1/roles").Segment("the role", name).Query("force", force), null, cancellationToken)).Dispose();

    /// <summary>Ends a token now.</summary>
    public async Task RevokeTokenAsync(string name, CancellationToken cancellationToken = default) =>
        (await SendAsync(HttpMethod.Delete, new Route("v1/tokens").Segment("the token", name), null, cancellationToken)).Dispose();
}
