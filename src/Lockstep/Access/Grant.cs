using System.Collections.Immutable;
using System.Net;

namespace Lockstep.Access;

/// <summary>
/// What a caller may do: whatever one of its roles permits, each as its token narrows it; and, of a derived token, nothing that its parent may not. Immutable.
/// </summary>
internal sealed class Grant
{
    private readonly bool _hasNetworks;

    public Grant(ImmutableArray<RoleGrant> roles, Grant? within = null)
    {
        (Roles, Within) = (roles, within);
        _hasNetworks = roles.Any(r => r.HasNetworks) || within is { _hasNetworks: true };
    }

    public Grant(Role role, TokenLimits limits, Grant? within = null)
        : this([new RoleGrant(role, limits)], within)
    {
    }

    public ImmutableArray<RoleGrant> Roles { get; }

    /// <summary>What the token may do that this one was derived from.</summary>
    public Grant? Within { get; }

    /// <summary>What this is the part of that holds from some address; null: it is whole.</summary>
    public Grant? Whole { get; private init; }

    /// <summary>The same as if it were not derived.</summary>
    public Grant WithoutParent => Within is null ? this : new Grant(Roles);

    /// <summary>Whether it has the permission on every service, environment and secret.</summary>
    public bool ReachesEverything(Permission permission) =>
        Roles.Any(r => r.ReachesEverything && r.Role.Has(permission)) && Within?.ReachesEverything(permission) != false;

    /// <summary>Whether it has the permission on every file of the repository.</summary>
    public bool ReachesEveryFile(Permission permission) =>
        Roles.Any(r => r.ReachesEveryFile && r.Role.Has(permission)) && Within?.ReachesEveryFile(permission) != false;

    public bool Allows(Permission permission, Subject subject)
    {
        foreach (var role in Roles)
            if (role.Allows(permission, subject)) return Within is null || Within.Allows(permission, subject);
        return false;
    }

    /// <summary>Which rule decides, in words.</summary>
    public Decision Explain(Permission permission, Subject subject)
    {
        if (Roles.IsEmpty) return new(false, "no role: none that a rule of its issuer gives exists or holds from this address");
        var own = Roles.Select(r => r.Explain(permission, subject)).ToList();
        var allowing = own.FindIndex(d => d.Allowed);
        if (allowing < 0) return new(false, string.Join("; ", own.Select(d => d.Reason).Distinct(StringComparer.Ordinal)));
        return Within?.Explain(permission, subject) is { Allowed: false } parent ? new(false, "of the token it derives from: " + parent.Reason) : own[allowing];
    }

    /// <summary>Why this grant does not hold all of <paramref name="other"/>, or null when it does: each role of the other lies within one of these.</summary>
    public string? MissingFor(Grant other)
    {
        foreach (var role in other.Roles)
        {
            var missing = "there is no role that could give it";
            if (!Roles.Any(r => (missing = r.MissingFor(role)) is null)) return missing;
        }
        return Within?.MissingFor(other);
    }

    /// <summary>What holds from that address, which is all of it but for roles with networks; null: nothing does.</summary>
    public Grant? From(IPAddress? address)
    {
        if (!_hasNetworks) return this;
        var within = Within?.From(address);
        if (within is null && Within is not null) return null;
        var roles = Roles.RemoveAll(r => !r.HoldsFrom(address));
        if (roles.IsEmpty) return null;
        return roles.Length == Roles.Length && within == Within ? this : new Grant(roles, within) { Whole = this };
    }
}

/// <summary>An answer with the rule that gave it.</summary>
internal readonly record struct Decision(bool Allowed, string Reason);
