using System.Collections.Immutable;
using System.Net;
using Lockstep.Access.Jwt;
using Lockstep.Client;

namespace Lockstep.Access;

/// <summary>The identified holder of a token, with its permissions. Immutable; made anew when the token, its role or the settings change.</summary>
internal sealed class Caller
{
    private static readonly Grant s_everything = new(RoleSet.BuiltIn.Find("admin")!, TokenLimits.None);

    /// <summary>Public id of the token; of a token of an issuer one of its subject there; for the server's own callers a name such as <c>system:git</c>.</summary>
    public required string TokenId { get; init; }

    /// <summary>Name of the token, or its subject.</summary>
    public required string Name { get; init; }

    /// <summary>The id of the token this one was derived from and dies with.</summary>
    public string? Parent { get; init; }

    /// <summary>The id of the token that it goes back to, its own when it was created: what is bounded for one token is for all of these together.</summary>
    public string Root { get => field ?? TokenId; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The hash of the secret that was shown: when it is not accepted any more, the token was rolled.</summary>
    public ReadOnlyMemory<byte> Hash { get; init; }

    /// <summary>Who issued the token, where it was not this server.</summary>
    public Issuance? Issued { get; init; }

    /// <summary>Whether it is the server itself.</summary>
    public bool IsSystem { get; private init; }

    /// <summary>What its roles and the token's own limits come to.</summary>
    public required Grant Grant { get; init; }

    /// <summary>What the token has done lately.</summary>
    public TokenUsage Usage { get; init; } = new();

    /// <summary>Names of the roles, for people.</summary>
    public string Role => string.Join(", ", Grant.Roles.Select(r => r.Role.Name));

    /// <summary>The server itself in one of its parts, <c>system:NAME</c>; it may do everything.</summary>
    public static Caller System(string part) => new() { TokenId = "system:" + part, Name = "system:" + part, Grant = s_everything, IsSystem = true };

    /// <summary>The same caller with less, as from an address that not all of its roles hold from.</summary>
    public Caller With(Grant grant) =>
        new() { TokenId = TokenId, Name = Name, Parent = Parent, Root = Root, ExpiresAt = ExpiresAt, Hash = Hash, Issued = Issued, Usage = Usage, Grant = grant };

    /// <summary>The one question every access comes down to.</summary>
    public bool Can(Permission permission, Subject subject) => Grant.Allows(permission, subject);

    /// <summary>The answer of <see cref="Can"/> with the rule that decides it.</summary>
    public Decision Explain(Permission permission, Subject subject) => Grant.Explain(permission, subject);

    /// <summary>Refuses to give, roll or take away what this caller does not hold itself.</summary>
    /// <exception cref="LockstepException">forbidden.</exception>
    public void EnsureCovers(string what, Grant other)
    {
        if (Grant.MissingFor(other) is { } missing)
            throw new LockstepException(ErrorCode.Forbidden, $"{what} would hold more than '{Name}' does: {missing}");
    }
}

/// <summary>What the token of an issuer says of itself.</summary>
/// <param name="Issuer">The issuer's URL.</param>
/// <param name="Subject">Whom it is about.</param>
/// <param name="At">When it was issued.</param>
/// <param name="Rules">The rules of the settings that it meets.</param>
/// <param name="Identity">What was verified.</param>
internal sealed record Issuance(string Issuer, string Subject, DateTimeOffset At, ImmutableArray<RoleRule> Rules, JwtIdentity Identity);

/// <summary>What one token has done lately; shared by all callers it makes.</summary>
internal sealed class TokenUsage
{
    private static readonly long s_grain = (long)TimeSpan.FromSeconds(1).TotalMilliseconds;

    private long _lastUsed;

    public TokenUsage()
        : this(new TokenBucket(), new TokenBucket())
    {
    }

    private TokenUsage(TokenBucket rate, TokenBucket derivations) => (Rate, Derivations) = (rate, derivations);

    /// <summary>How much it, and all that goes back to the same token, has asked; see <see cref="RateLimits"/>.</summary>
    public TokenBucket Rate { get; }

    /// <summary>How many were derived of it.</summary>
    public TokenBucket Derivations { get; }

    /// <summary>That of a token derived from this one: it shares the limits.</summary>
    public TokenUsage Derived() => new(Rate, Derivations);

    /// <summary>When it was accepted last, in Unix milliseconds, to the second; 0: never since this process started.</summary>
    public long LastUsedAt => Volatile.Read(ref _lastUsed);

    /// <summary>The time that was written down last, in Unix milliseconds.</summary>
    public long SavedAt { get; set; }

    /// <summary>It was accepted.</summary>
    public void Used(DateTimeOffset now)
    {
        // Not written for each of a hundred thousand requests a second: many cores share it.
        var at = now.ToUnixTimeMilliseconds();
        if (at - LastUsedAt >= s_grain) Volatile.Write(ref _lastUsed, at);
    }
}

/// <summary>A caller together with where this request comes from: what an audit entry says of the actor.</summary>
internal sealed record CallContext(Caller Caller, IPAddress? Address, string? Instance, string? Trace, string Route)
{
    /// <summary>The server itself in one of its parts.</summary>
    public static CallContext System(string part, string route = "server") => new(Caller.System(part), null, null, null, route);
}
