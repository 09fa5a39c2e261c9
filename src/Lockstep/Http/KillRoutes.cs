using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

/// <summary><c>POST /v1/kill</c>.</summary>
internal sealed class KillRoutes(Gate.Gate gate)
{
    private const int MaxNames = 100;
    private const int MaxSubject = 255;

    public void Map(Api api) => api.Map("POST", "/v1/kill", KillAsync);

    private async Task KillAsync(HttpContext context, CallContext call)
    {
        Requests.AllowQuery(context);
        var body = await Requests.BodyAsync(context, LockstepJson.Default.KillRequest);
        var scope = ScopeOf(body);
        var done = body.DryRun ? await gate.PlanKillAsync(call, scope) : await gate.KillAsync(call, scope, context.RequestAborted);
        await Responses.JsonAsync(context, new KillReport
        {
            Tokens = [.. done.Ended.Select(t => new KilledToken { Id = t.Id, Name = t.Name })],
            IssuedUntil = done.IssuedUntil,
            Exposure = done.Exposure,
        }, WireJson.Context.KillReport);
    }

    private static KillScope ScopeOf(KillRequest body)
    {
        var isNarrowed = body.Services is not null || body.Environments is not null || body.Issuer is not null;
        if (body.Subject is not null && body.Issuer is null) throw new LockstepException(ErrorCode.BadRequest, "'subject' is one of an issuer: say 'issuer' too");
        if (body.All == isNarrowed)
        {
            throw new LockstepException(ErrorCode.BadRequest, body.All
                ? "'all' is every token: leave 'services', 'environments' and 'issuer' out"
                : "say which tokens: 'services', 'environments' or 'issuer', or 'all': true");
        }
        if (body.Subject is { Length: 0 or > MaxSubject }) throw new LockstepException(ErrorCode.BadRequest, $"'subject' must have 1 to {MaxSubject} characters");
        return new KillScope { Services = Names("services", body.Services), Environments = Names("environments", body.Environments), Issuer = body.Issuer, Subject = body.Subject };
    }

    private static ImmutableArray<string>? Names(string field, IReadOnlyList<string>? names)
    {
        if (names is null) return null;
        if (names.Count is 0 or > MaxNames || !names.All(n => NameRules.IsName(n)))
            throw new LockstepException(ErrorCode.BadRequest, $"'{field}' must be 1 to {MaxNames} names, of {NameRules.Words} each, without globs");
        return [.. names];
    }
}
