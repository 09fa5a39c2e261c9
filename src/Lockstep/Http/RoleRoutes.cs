using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/roles</c>.</summary>
internal sealed class RoleRoutes(Gate.Gate gate)
{
    private static readonly string[] s_sources = ["built-in", "settings", "database"];

    public void Map(Api api)
    {
        api.Map("GET", "/v1/roles", ListAsync);
        api.Map("GET", "/v1/roles/{name}", GetAsync);
        api.Map("PUT", "/v1/roles/{name}", PutAsync);
        api.Map("DELETE", "/v1/roles/{name}", DeleteAsync);
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var roles = await gate.ListRolesAsync(call, context.RequestAborted);
        await Responses.JsonAsync(context, new Page<RoleInfo> { Items = [.. roles.Select(r => ToInfo(r.Role, r.Stored))] }, WireJson.Context.RolePage);
    }

    private async Task GetAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var name = Requests.Route(context, "name");
        var (role, stored) = (await gate.ListRolesAsync(call, context.RequestAborted)).FirstOrDefault(r => r.Role.Name == name);
        if (role is null) throw new LockstepException(ErrorCode.NotFound, $"there is no role '{name}'");
        await Responses.JsonAsync(context, ToInfo(role, stored), WireJson.Context.RoleInfo);
    }

    private async Task PutAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.RolePut);
        var (role, stored) = await gate.SetRoleAsync(call, new RoleOptions
        {
            Name = Requests.Route(context, "name"),
            Permissions = body.Permissions,
            Services = body.Services,
            Environments = body.Environments,
            Secrets = body.Secrets,
            Paths = body.Paths,
            Cidrs = body.Cidrs,
        }, context.RequestAborted);
        await Responses.JsonAsync(context, ToInfo(role, stored), WireJson.Context.RoleInfo);
    }

    private async Task DeleteAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "force");
        await gate.DeleteRoleAsync(call, Requests.Route(context, "name"), Requests.Flag(context, "force", otherwise: false), context.RequestAborted);
        context.Response.StatusCode = 204;
    }

    private static RoleInfo ToInfo(Role role, StoredRole? stored) => new()
    {
        Name = role.Name,
        Source = s_sources[(int)role.Source],
        Permissions = [.. role.Permissions.Select(p => p.Name())],
        Services = [.. role.Services.Patterns],
        Environments = [.. role.Environments.Patterns],
        Secrets = [.. role.Secrets.Patterns],
        Paths = [.. role.Paths.Patterns],
        Cidrs = [.. role.Cidrs.Select(c => c.ToString())],
        UpdatedAt = stored?.UpdatedAt,
        UpdatedBy = stored?.UpdatedBy,
    };
}
