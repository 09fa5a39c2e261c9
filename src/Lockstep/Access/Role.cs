using System.Collections.Immutable;
using System.Net;

namespace Lockstep.Access;

/// <summary>A named set of permissions, each limited to the same services, environments, secret ids and files.</summary>
internal sealed record Role
{
    private const int AllPermissions = 0xFF;

    public required string Name { get; init; }

    public required ImmutableArray<Permission> Permissions { get; init; }

    public GlobSet Services { get; init; } = GlobSet.AllNames;

    public GlobSet Environments { get; init; } = GlobSet.AllNames;

    public GlobSet Secrets { get; init; } = GlobSet.All;

    public GlobSet Paths { get; init; } = GlobSet.All;

    /// <summary>Networks the caller must come from; empty: any.</summary>
    public ImmutableArray<IPNetwork> Cidrs { get; init; } = [];

    /// <summary>Whether the role gives the permission at all; <see cref="Permission.Admin"/> gives every other.</summary>
    public bool Has(Permission permission) => (Mask & (1 << (int)permission)) != 0;

    /// <summary>A role that is named by a token but exists no more: it permits nothing.</summary>
    public static Role Missing(string name) => new() { Name = name, Permissions = [], IsMissing = true };

    public bool IsMissing { get; private init; }

    /// <summary>Where it is written.</summary>
    public RoleSource Source { get; init; }

    /// <summary>Whether it permits just the same.</summary>
    public bool IsSameAs(Role other) =>
        Source == other.Source && IsMissing == other.IsMissing && Permissions.SequenceEqual(other.Permissions) && Cidrs.SequenceEqual(other.Cidrs)
        && Services.IsSameAs(other.Services) && Environments.IsSameAs(other.Environments) && Secrets.IsSameAs(other.Secrets) && Paths.IsSameAs(other.Paths);

    private int Mask
    {
        get => field != 0 ? field : field = MaskOf(Permissions);
    }

    private static int MaskOf(ImmutableArray<Permission> permissions) =>
        permissions.Contains(Permission.Admin) ? AllPermissions : permissions.Aggregate(0, (mask, p) => mask | (1 << (int)p));
}

/// <summary>Where a role is written.</summary>
internal enum RoleSource { BuiltIn, Settings, Database }

/// <summary>What one token narrows its role to; null: as the role says.</summary>
internal sealed record TokenLimits
{
    public static readonly TokenLimits None = new();

    public GlobSet? Services { get; init; }

    public GlobSet? Environments { get; init; }

    public GlobSet? Secrets { get; init; }

    /// <summary>Networks the caller must come from; empty: any.</summary>
    public ImmutableArray<IPNetwork> Cidrs { get; init; } = [];
}
