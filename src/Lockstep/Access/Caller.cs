using System.Net;
using Lockstep.Client;

namespace Lockstep.Access;

/// <summary>The identified holder of a token, with its permissions. Immutable; made anew when the token, its role or the settings change.</summary>
internal sealed class Caller
{
    private static readonly Grant s_everything = new(RoleSet.BuiltIn.Find("admin")!, TokenLimits.None);

    /// <summary>Public id of the token; for the server's own callers a name such as <c>system:git</c>.</summary>
    public required string TokenId { get; init; }

    /// <summary>Name of the token.</summary>
    public required string Name { get; init; }

    /// <summary>The token this one was derived from and dies with.</summary>
    public string? Parent { get; init; }

    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>The hash of the token's newest secret when the caller was identified: another one since means a roll.</summary>
    public ReadOnlyMemory<byte> Hash { get; init; }

    /// <summary>Whether it is the server itself.</summary>
    public bool IsSystem { get; private init; }

    /// <summary>What the role and the token's own limits come to.</summary>
    public required Grant Grant { get; init; }

    /// <summary>How much it has asked lately; see <see cref="RateLimits"/>.</summary>
    public TokenBucket Rate { get; } = new();

    /// <summary>Name of the role, for people.</summary>
    public string Role => Grant.Role.Name;

    /// <summary>The server itself in one of its parts, <c>system:NAME</c>; it may do everything.</summary>
    public static Caller System(string part) => new() { TokenId = "system:" + part, Name = "system:" + part, Grant = s_everything, IsSystem = true };

    /// <summary>The one question every access comes down to.</summary>
    public bool Can(Permission permission, Subject subject) => Grant.Allows(permission, subject);

    /// <summary>The answer of <see cref="Can"/> with the rule that decides it.</summary>
    public Decision Explain(Permission permission, Subject subject) => Grant.Explain(permission, subject);

    /// <summary>Refuses to give, roll or take away what this caller does not hold itself.</summary>
    /// <exception cref="LockstepException">forbidden.</exception>
    public void EnsureCovers(string tokenName, Grant other)
    {
        if (Grant.MissingFor(other) is { } missing)
            throw new LockstepException(ErrorCode.Forbidden, $"the token '{tokenName}' (role '{other.Role.Name}') would hold more than '{Name}' does: {missing}");
    }
}

/// <summary>A caller together with where this request comes from: what an audit entry says of the actor.</summary>
internal sealed record CallContext(Caller Caller, IPAddress? Address, string? Instance, string? Trace, string Route)
{
    /// <summary>The server itself in one of its parts.</summary>
    public static CallContext System(string part, string route = "server") => new(Caller.System(part), null, null, null, route);
}
