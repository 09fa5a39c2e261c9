using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private const int MaxDetail = 2000;

    /// <summary>
    /// The kill switch: ends every token in scope but the caller's own and those that it derives from, in one transaction. Service tokens are revoked; of tokens of issuers, those
    /// issued up to now are dead. When this returns their connections are closed on this node.
    /// </summary>
    /// <returns>The service tokens that were ended.</returns>
    public async Task<IReadOnlyList<TokenRecord>> KillAsync(CallContext call, KillScope scope, CancellationToken cancellationToken)
    {
        await RequireKillAsync(call, scope);
        var (ended, kill) = await WriteTokensAsync(session =>
        {
            var ended = Tokens.Kill(session, call.Caller, scope);
            var kill = Kills.Write(session, scope, Time.GetUtcNow(), call.Caller.TokenId, Tokens.Roles);
            ReleaseStore.WriteJournal(session, null, "token", call.Caller.Name, Time.GetUtcNow(), $"kill {scope}");
            Record(session, call, Entry(call, "kill", scope.ToString()) with { Detail = Names(ended) });
            return (ended, kill);
        }, cancellationToken);
        Authenticator.Apply(kill, ended);
        return [.. ended.Select(t => t.Record)];
    }

    /// <summary>The service tokens that a kill would end now.</summary>
    public async Task<IReadOnlyList<TokenRecord>> PlanKillAsync(CallContext call, KillScope scope)
    {
        await RequireKillAsync(call, scope);
        return Tokens.InScope(call.Caller, scope);
    }

    private async ValueTask RequireKillAsync(CallContext call, KillScope scope)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "kill");
        if (scope.Issuer is { } issuer && !Options.Issuers.Any(i => i.Issuer == issuer))
        {
            throw new LockstepException(ErrorCode.BadRequest, Options.Issuers.Count == 0
                ? "no issuer is trusted here (access.issuers), so none has tokens to end"
                : $"that issuer is not trusted here, so it has no tokens to end; there are {string.Join(", ", Options.Issuers.Select(i => i.Issuer))}");
        }
    }

    private static string Names(List<TokenChange> ended)
    {
        var text = $"{ended.Count} tokens: {string.Join(", ", ended.Take(MaxDetail).Select(t => $"{t.Record.Name} ({t.Record.Id})"))}";
        return text.Length <= MaxDetail ? text : text[..MaxDetail] + "…";
    }
}
