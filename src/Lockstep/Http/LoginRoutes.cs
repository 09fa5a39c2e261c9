using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>GET /v1/login</c>: where people log in. It is asked before anybody has a token.</summary>
internal sealed class LoginRoutes(IReadOnlyList<IssuerOptions> issuers)
{
    private readonly Page<LoginIssuer> _page = new()
    {
        Items = [.. issuers.Where(i => i.Login is not null).Select(i => new LoginIssuer { Issuer = i.Issuer, ClientId = i.Login!.ClientId, Scopes = i.Login.Scopes })],
    };

    public void Map(Api api) => api.MapOpen("GET", "/v1/login", GetAsync);

    private Task GetAsync(HttpContext context)
    {
        Requests.AllowQuery(context);
        return Responses.JsonAsync(context, _page, WireJson.Context.LoginPage);
    }
}
