using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Access.Jwt;

namespace Lockstep.Access;

/// <summary>Callers who show a token of an issuer: the roles that the issuer's rules give them, as those roles are now.</summary>
internal static class IssuedCallers
{
    // By subject, not by token, of which a subject may have any number; subjects that fall on the same one share its limits.
    private static readonly TokenUsage[] s_usage = [.. Enumerable.Range(0, 4096).Select(_ => new TokenUsage())];

    /// <summary>Who a verified identity is; the same object for as long as the identity is cached and its roles stay what they are. Null: no role.</summary>
    public static Caller? Of(JwtIdentity identity, RoleSet roles)
    {
        if (identity.Tag is Made made && made.Roles == roles) return made.Caller;
        var before = (identity.Tag as Made)?.Caller;
        var parts = Parts(identity.Rules, roles);
        var caller = parts.IsEmpty ? null : before is not null && IsSame(before.Grant, parts) ? before : Make(identity, parts, IdOf(identity.Issuer, identity.Subject));
        identity.Tag = new Made(roles, caller);
        return caller;
    }

    /// <summary>Whether the roles give something else than when the caller was identified.</summary>
    public static bool HasOtherGrant(Caller caller, RoleSet roles)
    {
        // The same object but for two requests that both made it.
        var (grant, now) = (caller.Grant.Whole ?? caller.Grant, Of(caller.Issued!.Identity, roles)?.Grant);
        return now is null || (now != grant && !IsSame(grant, now.Roles));
    }

    private static ImmutableArray<RoleGrant> Parts(ImmutableArray<RoleRule> rules, RoleSet roles) =>
    [
        .. rules.Select(rule => (Rule: rule, Role: roles.Find(rule.Role))).Where(r => r.Role is not null).DistinctBy(r => r.Role!.Name, StringComparer.Ordinal)
            .Select(r => new RoleGrant(r.Role!, TokenLimits.None) { Rule = $"{r.Rule.Where} ({r.Rule.Claim}: {r.Rule.Value})" }),
    ];

    private static bool IsSame(Grant grant, ImmutableArray<RoleGrant> parts) => grant.Roles.Select(r => r.Role).SequenceEqual(parts.Select(r => r.Role), ReferenceEqualityComparer.Instance);

    private static Caller Make(JwtIdentity identity, ImmutableArray<RoleGrant> parts, string id) => new()
    {
        TokenId = id,
        // No service token has such a name. With the path, by which tenants of one host differ.
        Name = $"{identity.Subject}@{identity.Issuer[(identity.Issuer.IndexOf("://", StringComparison.Ordinal) + 3)..]}",
        // It is accepted so much longer, for the clocks' sake.
        ExpiresAt = identity.ExpiresAt + JwtClaims.Skew,
        Issued = new Issuance(identity.Issuer, identity.Subject, identity.IssuedAt, identity.Rules, identity),
        Grant = new Grant(parts),
        Usage = s_usage[(string.GetHashCode(id, StringComparison.Ordinal) & int.MaxValue) % s_usage.Length],
    };

    /// <summary>One id for all tokens of a subject: what it was given is asked for by it. Neither part holds a line break.</summary>
    public static string IdOf(string issuer, string subject) =>
        "jwt_" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{issuer}\n{subject}")).AsSpan(0, 12));

    private sealed record Made(RoleSet Roles, Caller? Caller);
}
