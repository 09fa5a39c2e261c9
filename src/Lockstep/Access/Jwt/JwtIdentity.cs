using System.Collections.Immutable;

namespace Lockstep.Access.Jwt;

/// <summary>Whom a verified token names. It is the same object for the same token as long as that is cached.</summary>
internal sealed class JwtIdentity
{
    public required string Issuer { get; init; }

    public required string Subject { get; init; }

    public required DateTimeOffset IssuedAt { get; init; }

    /// <summary>The token's <c>exp</c>; it is accepted for <see cref="JwtClaims.Skew"/> longer.</summary>
    public required DateTimeOffset ExpiresAt { get; init; }

    /// <summary>The rules that matched, in the order of the settings; none is no reason to refuse the token.</summary>
    public required ImmutableArray<RoleRule> Rules { get; init; }

    /// <summary>The <c>jti</c>, when the issuer gives one.</summary>
    public string? TokenId { get; init; }

    /// <summary>Whether the issuer still publishes the key that the token was verified with.</summary>
    public Func<bool> KeyHolds { get; set; } = static () => false;

    /// <summary>What the owner of callers made of this identity.</summary>
    public object? Tag { get; set; }
}

/// <summary>One line of an issuer's <c>roles:</c>. <paramref name="Where"/> is its place in the settings, <c>access.issuers[0].roles[2]</c>.</summary>
internal sealed record RoleRule(string Role, string Claim, Glob Value, string Where);
