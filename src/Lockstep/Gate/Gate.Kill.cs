using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private const int MaxDetail = 2000;

    private static readonly TimeSpan s_exposureTime = TimeSpan.FromSeconds(10);

    /// <summary>
    /// The kill switch: ends every token in scope but the caller's own and those that it derives from, in one transaction. Service tokens are revoked; of tokens of issuers, those
    /// issued up to now are dead. When this returns their connections are closed on this node.
    /// </summary>
    public async Task<KillOutcome> KillAsync(CallContext call, KillScope scope, CancellationToken cancellationToken)
    {
        await RequireKillAsync(call, scope);
        var (ended, kill) = await WriteTokensAsync(session =>
        {
            var ended = Tokens.Kill(session, call.Caller, scope);
            var kill = Kills.Write(session, scope, Time.GetUtcNow(), call.Caller, Tokens.Roles);
            ReleaseStore.WriteJournal(session, null, "token", call.Caller.Name, Time.GetUtcNow(), $"kill {scope}");
            Record(session, call, Entry(call, "kill", scope.ToString()) with { Detail = Names(ended) });
            return (ended, kill);
        }, cancellationToken);
        Authenticator.Apply(kill, ended);
        var ids = ended.Select(t => t.Record.Id);
        if (scope is { Issuer: { } issuer, Subject: { } subject }) ids = ids.Append(IssuedCallers.IdOf(issuer, subject));
        return new KillOutcome([.. ended.Select(t => t.Record)])
        {
            IssuedUntil = Options.Issuers.Count > 0 ? kill.At : null,
            // Of an issuer's tokens nothing is known here but by their subjects.
            Exposure = scope is { Issuer: not null, Subject: null } ? null : await ExposureAsync([.. ids], cancellationToken),
        };
    }

    // The kill is done: what is told of it must neither undo that nor hold up the answer for long.
    private async Task<ExposureReport?> ExposureAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_exposureTime, Time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            return await Audit.Exposure.OfAsync(ids, since: null, both.Token);
        }
        catch (Exception e) when (e is OperationCanceledException || (e as LockstepException)?.Code == ErrorCode.Unavailable)
        {
            return null;
        }
    }

    /// <summary>The service tokens that a kill would end now.</summary>
    public async Task<KillOutcome> PlanKillAsync(CallContext call, KillScope scope)
    {
        await RequireKillAsync(call, scope);
        return new KillOutcome(Tokens.InScope(call.Caller, scope));
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

/// <summary>What a kill did, or would do.</summary>
/// <param name="Ended">The service tokens.</param>
internal sealed record KillOutcome(IReadOnlyList<TokenRecord> Ended)
{
    /// <summary>Tokens of issuers in scope that were issued until then are dead too; null: none is trusted, or nothing was done.</summary>
    public DateTimeOffset? IssuedUntil { get; init; }

    /// <summary>What the service tokens, and the one subject that was named, were given; null when that is not known, or would take too long to find out now.</summary>
    public ExposureReport? Exposure { get; init; }
}
