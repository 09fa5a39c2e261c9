namespace Lockstep.Client;

/// <summary>An issuer at which people log in (<c>GET /v1/login</c>).</summary>
public sealed record LoginIssuer
{
    /// <summary>The issuer's URL, as its tokens spell it.</summary>
    public required string Issuer { get; init; }

    /// <summary>The public client that the issuer knows Lockstep by.</summary>
    public required string ClientId { get; init; }

    /// <summary>What to ask the issuer for; <c>openid</c> is among them.</summary>
    public required IReadOnlyList<string> Scopes { get; init; }
}
