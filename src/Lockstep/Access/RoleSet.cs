using System.Collections.Frozen;
using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Access;

/// <summary>The roles by name: the built-in ones, those of the settings, and those of the database.</summary>
internal sealed class RoleSet
{
    private static readonly Role[] s_builtIn =
    [
        new() { Name = "admin", Permissions = [.. Enum.GetValues<Permission>()] },
        new() { Name = "writer", Permissions = [Permission.ConfigRead, Permission.ConfigWrite, Permission.SecretRead, Permission.SecretWrite] },
        new() { Name = "reader", Permissions = [Permission.ConfigRead, Permission.SecretReveal] },
        new() { Name = "viewer", Permissions = [Permission.ConfigRead] },
    ];

    private readonly FrozenDictionary<string, Role> _roles;

    private RoleSet(IEnumerable<Role> roles) => _roles = roles.ToFrozenDictionary(r => r.Name, StringComparer.Ordinal);

    /// <summary>How many roles the database may hold.</summary>
    public const int MaxStored = 1000;

    /// <summary>Only admin, writer, reader and viewer.</summary>
    public static RoleSet BuiltIn { get; } = new(s_builtIn);

    public IEnumerable<Role> All => _roles.Values.OrderBy(r => r.Name, StringComparer.Ordinal);

    /// <summary>The built-in roles and those of the settings.</summary>
    /// <exception cref="LockstepException">invalid-config with every mistake in the roles.</exception>
    public static RoleSet From(IEnumerable<RoleOptions> options)
    {
        var errors = new List<ProblemError>();
        var roles = new List<Role>(s_builtIn);
        foreach (var option in options) roles.Add(Parse(option, roles, errors));
        if (errors.Count > 0)
            throw new LockstepException(ErrorCode.InvalidConfig, "the roles in the settings are not valid:") { Errors = errors };
        return new RoleSet(roles);
    }

    /// <summary>These with the roles of the database in place of those it had before; one that the settings or the program name too is not taken. A role that did not change stays the same object.</summary>
    public RoleSet WithStored(IEnumerable<RoleOptions> stored)
    {
        var fixedRoles = _roles.Values.Where(r => r.Source != RoleSource.Database).ToList();
        var roles = new List<Role>(fixedRoles);
        foreach (var options in stored)
        {
            if (fixedRoles.Any(r => r.Name == options.Name)) continue;
            var errors = new List<ProblemError>();
            // A row that was written by hand and does not read as a role permits nothing.
            var role = Parse(options, fixedRoles, errors) with { Source = RoleSource.Database };
            if (errors.Count > 0) role = Role.Missing(options.Name);
            roles.Add(_roles.GetValueOrDefault(options.Name) is { } known && known.IsSameAs(role) ? known : role);
        }
        return new RoleSet(roles);
    }

    /// <summary>A role as it is asked for by the API.</summary>
    /// <exception cref="LockstepException">bad-request with every mistake, conflict when the name is the program's or the settings' own.</exception>
    public Role Read(RoleOptions options)
    {
        if (Find(options.Name) is { Source: not RoleSource.Database } taken)
            throw new LockstepException(ErrorCode.Conflict, $"the role '{options.Name}' {(taken.Source == RoleSource.Settings ? "stands in the settings (access.roles) and is changed there" : "is built in")}; choose another name");
        var errors = new List<ProblemError>();
        var role = Parse(options, [], errors) with { Source = RoleSource.Database };
        return errors.Count == 0 ? role : throw new LockstepException(ErrorCode.BadRequest, string.Join("; ", errors.Select(e => $"{e.Key!.Split('.')[^1]}: {e.Message}")));
    }

    public Role? Find(string name) => _roles.GetValueOrDefault(name);

    private static Role Parse(RoleOptions options, List<Role> before, List<ProblemError> errors)
    {
        void Fail(string? key, string message) => errors.Add(new ProblemError
        {
            File = options.File,
            Line = options.Line,
            Key = key is null ? $"access.roles.{options.Name}" : $"access.roles.{options.Name}.{key}",
            Message = message,
        });

        GlobSet Globs(string key, IReadOnlyList<string>? patterns, GlobSet absent)
        {
            if (patterns is null) return absent;
            var (set, error) = GlobSet.From(patterns);
            if (error is not null) Fail(key, error);
            return set ?? GlobSet.None;
        }

        if (!NameRules.IsTokenName(options.Name)) Fail(null, $"a role's name is {NameRules.Words} and starts with a letter or digit");
        if (before.Any(r => r.Name == options.Name)) Fail(null, "this name is taken by a built-in role; choose another");
        if (options.Permissions.Count == 0) Fail("permissions", "is missing; name at least one of " + string.Join(", ", PermissionNames.All));
        var permissions = ImmutableArray.CreateBuilder<Permission>();
        foreach (var name in options.Permissions)
        {
            if (PermissionNames.TryParse(name, out var permission)) permissions.Add(permission);
            else Fail("permissions", $"there is no permission '{name}'; there are " + string.Join(", ", PermissionNames.All));
        }
        var services = Globs("services", options.Services, GlobSet.AllNames);
        var environments = Globs("environments", options.Environments, GlobSet.AllNames);
        var (cidrs, cidrError) = options.Cidrs is null ? ([], null) : Networks.Parse(options.Cidrs);
        if (cidrError is not null) Fail("cidrs", cidrError);
        return new Role
        {
            Name = options.Name,
            Source = RoleSource.Settings,
            Permissions = permissions.ToImmutable(),
            Services = services,
            Environments = environments,
            Secrets = Globs("secrets", options.Secrets, GlobSet.All),
            Paths = Globs("paths", options.Paths, DefaultPaths(services, environments)),
            Cidrs = cidrs,
        };
    }

    /// <summary>A file can shape every service's document, so a role that is limited to some has no files unless it names them.</summary>
    private static GlobSet DefaultPaths(GlobSet services, GlobSet environments) =>
        services.MatchesEveryName && environments.MatchesEveryName ? GlobSet.All : GlobSet.None;
}
