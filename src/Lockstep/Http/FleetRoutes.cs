using Lockstep.Access;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/fleet</c>.</summary>
internal sealed class FleetRoutes(Gate.Gate gate)
{
    public void Map(Api api) => api.Map("GET", "/v1/fleet/{service}/{env}", GetAsync);

    private async Task GetAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "label");
        var page = await gate.FleetAsync(call, Requests.Document(context), context.RequestAborted);
        await Responses.JsonAsync(context, page, WireJson.Context.FleetPage);
    }
}
