using System.Data.Common;
using System.Text.Json;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>The table <c>roles</c>: roles that were made by the API.</summary>
internal static class RoleStore
{
    private const string Columns = "name, permissions, services, environments, secrets, paths, cidrs, updated_at, updated_by";

    public static List<StoredRole> All(SqlSession session) => session.Query($"SELECT {Columns} FROM roles ORDER BY name", Read);

    public static int Count(SqlSession session) => (int)session.First("SELECT COUNT(*) FROM roles", r => r.GetInt64(0));

    public static void Save(SqlSession session, StoredRole role) => session.Execute(
        $"""
        INSERT INTO roles ({Columns})
        VALUES (@name, @permissions, @services, @environments, @secrets, @paths, @cidrs, @updated_at, @updated_by)
        ON CONFLICT (name) DO UPDATE SET permissions = excluded.permissions, services = excluded.services, environments = excluded.environments, secrets = excluded.secrets,
          paths = excluded.paths, cidrs = excluded.cidrs, updated_at = excluded.updated_at, updated_by = excluded.updated_by
        """,
        ("name", role.Options.Name), ("permissions", Json(role.Options.Permissions)), ("services", Json(role.Options.Services)),
        ("environments", Json(role.Options.Environments)), ("secrets", Json(role.Options.Secrets)), ("paths", Json(role.Options.Paths)), ("cidrs", Json(role.Options.Cidrs)),
        ("updated_at", role.UpdatedAt.ToUnixTimeMilliseconds()), ("updated_by", role.UpdatedBy));

    public static void Delete(SqlSession session, string name) => session.Execute("DELETE FROM roles WHERE name = @name", ("name", name));

    private static StoredRole Read(DbDataReader row) => new(
        new RoleOptions
        {
            Name = row.GetString(0),
            Permissions = List(row, 1) ?? [],
            Services = List(row, 2),
            Environments = List(row, 3),
            Secrets = List(row, 4),
            Paths = List(row, 5),
            Cidrs = List(row, 6),
        },
        row.Time(7), row.GetString(8));

    private static List<string>? List(DbDataReader row, int column) => row.TextOrNull(column) is { } text ? JsonSerializer.Deserialize(text, AccessJson.Default.ListString) : null;

    private static string? Json(IReadOnlyList<string>? list) => list is null ? null : JsonSerializer.Serialize([.. list], AccessJson.Default.ListString);
}

/// <summary>A role of the database as it was written, and by whom.</summary>
internal sealed record StoredRole(RoleOptions Options, DateTimeOffset UpdatedAt, string UpdatedBy);
