using System.Diagnostics.CodeAnalysis;

namespace Lockstep.Access;

/// <summary>What a caller may do; each is limited to services, environments and secret ids by the role it comes from.</summary>
internal enum Permission { ConfigRead, ConfigWrite, SecretRead, SecretReveal, SecretWrite, TokenWrite, AuditRead, Admin }

/// <summary>Permissions by their names on the wire.</summary>
internal static class PermissionNames
{
    private static readonly string[] s_names =
        ["config:read", "config:write", "secret:read", "secret:reveal", "secret:write", "token:write", "audit:read", "admin"];

    public static IReadOnlyList<string> All => s_names;

    public static string Name(this Permission permission) => s_names[(int)permission];

    public static bool TryParse([NotNullWhen(true)] string? name, out Permission permission)
    {
        var index = Array.IndexOf(s_names, name);
        permission = (Permission)Math.Max(index, 0);
        return index >= 0;
    }
}
