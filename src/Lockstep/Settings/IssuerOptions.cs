using System.Collections.Immutable;

namespace Lockstep.Settings;

/// <summary>One entry of <c>access.issuers:</c>: whose tokens are accepted, for whom they must be made, and which roles their claims give.</summary>
internal sealed record IssuerOptions
{
    /// <summary>The longest a token may live and be old unless <c>maxAge:</c> says else.</summary>
    public static readonly TimeSpan DefaultMaxAge = TimeSpan.FromHours(24);

    /// <summary>What can be verified: names of RFC 7518.</summary>
    public static readonly ImmutableArray<string> KnownAlgorithms = ["RS256", "PS256", "ES256", "ES384"];

    /// <summary>Exactly as tokens and the issuer's own metadata spell it.</summary>
    public required string Issuer { get; init; }

    /// <summary>A token must be made for one of these.</summary>
    public ImmutableArray<string> Audiences { get; init; } = [];

    public ImmutableArray<IssuerRoleOptions> Roles { get; init; } = [];

    /// <summary>Where the keys are; null: where the issuer's metadata says.</summary>
    public Uri? JwksUri { get; init; }

    /// <summary>The only authorities the issuer's certificate may come from; null: those of the system.</summary>
    public string? CaFile { get; init; }

    /// <summary>A bearer token for the issuer's metadata and keys, read anew for each request; it is shown to no other host.</summary>
    public string? TokenFile { get; init; }

    public ImmutableArray<string> Algorithms { get; init; } = KnownAlgorithms;

    /// <summary>Bound of <c>exp - iat</c> and of <c>now - iat</c>.</summary>
    public TimeSpan MaxAge { get; init; } = DefaultMaxAge;

    /// <summary>How people log in at this issuer; null: they don't.</summary>
    public LoginOptions? Login { get; init; }

    /// <summary>Where it stands, <c>access.issuers[0]</c>.</summary>
    public string Where { get; init; } = "access.issuers[0]";
}

/// <summary>One role for the tokens whose <paramref name="Claim"/> matches the glob <paramref name="Value"/>.</summary>
internal sealed record IssuerRoleOptions(string Claim, string Value, string Role);

/// <summary>The issuer's public client for <c>lockstep login</c>.</summary>
internal sealed record LoginOptions(string ClientId, ImmutableArray<string> Scopes);
