using System.Net;
using Lockstep.Settings;

namespace Lockstep.Access;

/// <summary>A role as narrowed by one token. Immutable.</summary>
internal sealed class RoleGrant
{
    private readonly bool _everyService;
    private readonly bool _everySecret;
    private readonly GlobSet _paths;

    public RoleGrant(Role role, TokenLimits limits)
    {
        (Role, Limits) = (role, limits);
        _everyService = IsEveryName(role.Services, limits.Services) && IsEveryName(role.Environments, limits.Environments);
        _everySecret = role.Secrets.MatchesEverything && limits.Secrets is not { MatchesEverything: false };
        // A token narrowed to some services or environments keeps no files: one file can shape every document.
        _paths = IsEveryName(limits.Services) && IsEveryName(limits.Environments) ? role.Paths : GlobSet.None;
    }

    public Role Role { get; }

    public TokenLimits Limits { get; }

    /// <summary>The rule of an issuer that gives the role, for people; null: the token names it.</summary>
    public string? Rule { get; init; }

    public GlobSet Services => Limits.Services ?? Role.Services;

    public GlobSet Environments => Limits.Environments ?? Role.Environments;

    public GlobSet Secrets => Limits.Secrets ?? Role.Secrets;

    /// <summary>Whether it holds only for some networks.</summary>
    public bool HasNetworks => !Role.Cidrs.IsEmpty || !Limits.Cidrs.IsEmpty;

    /// <summary>Whether its holder may use it from there.</summary>
    public bool HoldsFrom(IPAddress? address) => Networks.Hold(Limits.Cidrs, address) && Networks.Hold(Role.Cidrs, address);

    /// <summary>Whether role and limits name this service in this environment; null: any.</summary>
    public bool Names(string? service, string? environment) =>
        (service is null || (Role.Services.Matches(service) && Limits.Services?.Matches(service) != false))
        && (environment is null || (Role.Environments.Matches(environment) && Limits.Environments?.Matches(environment) != false));

    /// <summary>Whether neither role nor token limits it to some services, environments or secrets.</summary>
    public bool ReachesEverything => _everyService && _everySecret;

    /// <summary>Whether every file of the repository is among its paths.</summary>
    public bool ReachesEveryFile => _paths.MatchesEverything;

    public bool Allows(Permission permission, Subject subject)
    {
        if (!Role.Has(permission)) return false;
        if (subject.Service is not null) return _everyService || Refusal(subject) is null;
        if (subject.Secret is not null) return _everySecret || Refusal(subject) is null;
        if (subject.Path is not null) return _paths.Matches(subject.Path);
        // To administer "nothing in particular" is to administer everything; and the record is about everything.
        return permission is not (Permission.Admin or Permission.AuditRead) || ReachesEverything;
    }

    /// <summary>Which rule decides, in words.</summary>
    public Decision Explain(Permission permission, Subject subject)
    {
        var name = permission.Name();
        if (Role.IsMissing) return new(false, $"the role '{Role.Name}' does not exist (any more)");
        if (!Role.Has(permission)) return new(false, $"the role '{Role.Name}' does not have {name}");
        if (Refusal(subject) is { } refusal) return new(false, refusal);
        if (!Allows(permission, subject)) return new(false, $"{name} over everything needs a role and a token without limits");
        var via = Role.Permissions.Contains(permission) ? name : "admin";
        var reason = subject == Subject.Nothing ? $"the role '{Role.Name}' has {via}" : $"the role '{Role.Name}' has {via} and reaches {subject}";
        return new(true, Rule is null ? reason : $"{reason}; {Rule} gives that role");
    }

    /// <summary>
    /// Why this grant does not hold all of <paramref name="other"/>, or null when it does. A pattern set is within another when each of its
    /// patterns is; of a role and its narrowing one being within is enough.
    /// </summary>
    public string? MissingFor(RoleGrant other)
    {
        if (other.Role.IsMissing && !(ReachesEverything && Role.Has(Permission.Admin))) return $"its role '{other.Role.Name}' does not exist, so it is not known what it would hold";
        foreach (var permission in other.Role.Permissions)
            if (!Role.Has(permission)) return $"{permission.Name()} is not yours to give";
        if (Has(other, Permission.ConfigRead, Permission.ConfigWrite))
        {
            if (!Within(other.Role.Services, other.Limits.Services, Role.Services, Limits.Services)) return Beyond("services", Role.Services, Limits.Services);
            if (!Within(other.Role.Environments, other.Limits.Environments, Role.Environments, Limits.Environments))
                return Beyond("environments", Role.Environments, Limits.Environments);
            if (!_paths.Covers(other._paths)) return "its files go beyond yours; limit its services or environments";
        }
        if (Has(other, Permission.SecretRead, Permission.SecretReveal, Permission.SecretWrite)
            && !Within(other.Role.Secrets, other.Limits.Secrets, Role.Secrets, Limits.Secrets))
            return Beyond("secrets", Role.Secrets, Limits.Secrets);
        // Of these two, over everything is more than over much, whatever else comes with it.
        if (other.ReachesEverything && !ReachesEverything && Has(other, Permission.AuditRead, Permission.TokenWrite))
            return "audit:read and token:write over everything are not yours to give; limit its services, environments or secrets";
        foreach (var own in new[] { Role.Cidrs, Limits.Cidrs })
            if (!Networks.Cover(own, other.Role.Cidrs) && !Networks.Cover(own, other.Limits.Cidrs))
                return "its cidrs go beyond yours, " + string.Join(", ", own);
        return null;
    }

    private string? Refusal(Subject subject)
    {
        if (subject.Service is { } service)
        {
            return Outside("services", service, Role.Services, Limits.Services)
                ?? Outside("environments", subject.Environment!, Role.Environments, Limits.Environments);
        }
        if (subject.Secret is { } secret) return Outside("secrets", secret.Value, Role.Secrets, Limits.Secrets);
        if (subject.Path is { } path && !_paths.Matches(path))
            return $"'{path}' is not among the files of the role '{Role.Name}'{(ReferenceEquals(_paths, Role.Paths) ? "" : " as the token narrows it")}";
        return null;
    }

    private string? Outside(string what, string text, GlobSet role, GlobSet? limit)
    {
        if (!role.Matches(text)) return $"'{text}' is not among the {what} of the role '{Role.Name}' ({role})";
        return limit is not null && !limit.Matches(text) ? $"'{text}' is not among the {what} the token is limited to ({limit})" : null;
    }

    private static bool Has(RoleGrant grant, params ReadOnlySpan<Permission> permissions)
    {
        foreach (var permission in permissions)
            if (grant.Role.Has(permission)) return true;
        return false;
    }

    private static bool Within(GlobSet role, GlobSet? limit, GlobSet ownRole, GlobSet? ownLimit) =>
        Within(role, limit, ownRole) && (ownLimit is null || Within(role, limit, ownLimit));

    private static bool Within(GlobSet role, GlobSet? limit, GlobSet own) => own.Covers(role) || (limit is not null && own.Covers(limit));

    private static string Beyond(string what, GlobSet role, GlobSet? limit) => $"its {what} go beyond yours, {limit ?? role}";

    private static bool IsEveryName(params ReadOnlySpan<GlobSet?> sets)
    {
        foreach (var set in sets)
            if (set is { MatchesEveryName: false }) return false;
        return true;
    }
}
