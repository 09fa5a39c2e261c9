using Lockstep.Access;
using Lockstep.Client;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>/v1/tokens</c>, and what a token can ask about itself.</summary>
internal sealed class TokenRoutes(Gate.Gate gate)
{
    public void Map(Api api)
    {
        api.Map("POST", "/v1/tokens", CreateAsync);
        api.Map("GET", "/v1/tokens", ListAsync);
        api.Map("POST", "/v1/tokens/derive", DeriveAsync);
        api.Map("POST", "/v1/tokens/renew", RenewAsync);
        api.Map("POST", "/v1/tokens/{name}/roll", RollAsync);
        api.Map("DELETE", "/v1/tokens/{name}", RevokeAsync);
        api.Map("GET", "/v1/whoami", WhoAmIAsync);
        api.Map("GET", "/v1/can", CanAsync);
    }

    private async Task CreateAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.TokenCreate);
        var made = await gate.CreateTokenAsync(call, new NewToken(body.Name, body.Role)
        {
            Services = body.Services,
            Environments = body.Environments,
            Secrets = body.Secrets,
            Cidrs = body.Cidrs,
            ExpiresIn = body.ExpiresIn,
        }, context.RequestAborted);
        await WriteSecretAsync(context, made, 201);
    }

    private async Task DeriveAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.TokenDerive);
        var made = await gate.DeriveTokenAsync(call, new DerivedToken
        {
            Name = body.Name,
            Role = body.Role,
            Services = body.Services,
            Environments = body.Environments,
            Secrets = body.Secrets,
            Cidrs = body.Cidrs,
            ExpiresIn = body.ExpiresIn,
            RenewableFor = body.RenewableFor,
        }, context.RequestAborted);
        await WriteSecretAsync(context, made, 201);
    }

    private async Task RenewAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.TokenRenew);
        var token = (await gate.RenewTokenAsync(call, body.ExpiresIn, context.RequestAborted)).Record;
        await Responses.JsonAsync(context, new TokenRenewed { Id = token.Id, Name = token.Name, ExpiresAt = token.ExpiresAt!.Value }, WireJson.Context.TokenRenewed);
    }

    private async Task ListAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var tokens = await gate.ListTokensAsync(call);
        await Responses.JsonAsync(context, new Page<TokenInfo> { Items = [.. tokens.Select(ToInfo)] }, WireJson.Context.TokenPage);
    }

    private async Task RollAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "grace");
        var grace = TimeSpan.Zero;
        if (Requests.Text(context, "grace") is { } text && !Durations.TryParse(text, out grace))
            throw new LockstepException(ErrorCode.BadRequest, "the query parameter 'grace' must be a duration such as 30s, 15m or 24h");
        await WriteSecretAsync(context, await gate.RollTokenAsync(call, Requests.Route(context, "name"), grace, context.RequestAborted), 200);
    }

    private async Task RevokeAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        await gate.RevokeTokenAsync(call, Requests.Route(context, "name"), context.RequestAborted);
        context.Response.StatusCode = 204;
    }

    private Task WhoAmIAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var caller = call.Caller;
        return Responses.JsonAsync(context, new WhoAmI
        {
            Id = caller.TokenId,
            Name = caller.Name,
            Roles = [.. caller.Grant.Roles.Select(ToHeld)],
            Issuer = caller.Issued?.Issuer,
            Parent = caller.Parent,
            ExpiresAt = caller.ExpiresAt,
        }, WireJson.Context.WhoAmI);
    }

    private Task CanAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context, "permission", "service", "environment", "secret");
        if (!PermissionNames.TryParse(Requests.Text(context, "permission"), out var permission))
            throw new LockstepException(ErrorCode.BadRequest, $"the query parameter 'permission' must be one of {string.Join(", ", PermissionNames.All)}");
        var (service, environment) = (Requests.Text(context, "service"), Requests.Text(context, "environment"));
        if ((service is null) != (environment is null)) throw new LockstepException(ErrorCode.BadRequest, "'service' and 'environment' go together");
        var subject = Requests.Text(context, "secret") is { } secret ? Subject.Of(Requests.Secret(secret))
            : service is not null ? Subject.Of(service, environment!)
            : Subject.Nothing;
        var decision = call.Caller.Explain(permission, subject);
        return Responses.JsonAsync(context, new CanResult { Allowed = decision.Allowed, Reason = decision.Reason }, WireJson.Context.CanResult);
    }

    private static Task WriteSecretAsync(HttpContext context, TokenChange change, int status) => Responses.JsonAsync(context, new TokenCreated
    {
        Id = change.Record.Id,
        Name = change.Record.Name,
        Token = change.Token!.Value.Export(),
        ExpiresAt = change.Record.ExpiresAt,
    }, WireJson.Context.TokenCreated, status);

    private static TokenInfo ToInfo(TokenRecord token) => new()
    {
        Id = token.Id,
        Name = token.Name,
        Role = token.Role,
        Services = token.Services,
        Environments = token.Environments,
        Secrets = token.Secrets,
        Cidrs = token.Cidrs,
        CreatedAt = token.CreatedAt,
        CreatedBy = token.CreatedBy,
        ExpiresAt = token.ExpiresAt,
        RevokedAt = token.RevokedAt,
        LastUsedAt = token.LastUsedAt,
        Parent = token.Parent,
        RenewableUntil = token.RenewUntil,
    };

    private static RoleHeld ToHeld(RoleGrant held) => new()
    {
        Role = held.Role.Name,
        Rule = held.Rule,
        Permissions = [.. held.Role.Permissions.Select(p => p.Name())],
        Services = [.. held.Services.Patterns],
        Environments = [.. held.Environments.Patterns],
        Secrets = [.. held.Secrets.Patterns],
    };
}
