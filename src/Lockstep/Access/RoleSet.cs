using System.Collections.Frozen;
using System.Collections.Immutable;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Access;

/// <summary>The roles by name: the built-in ones and those of the settings.</summary>
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
