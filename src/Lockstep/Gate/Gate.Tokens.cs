using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;
using Lockstep.Storage;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private volatile bool _tokensUnsure;

    /// <summary>Makes a service token; its secret is in the answer and nowhere else.</summary>
    public Task<TokenChange> CreateTokenAsync(CallContext call, NewToken request, CancellationToken cancellationToken) =>
        ChangeTokenAsync(call, "token.create", request.Name, session => Tokens.Create(session, call.Caller, request), cancellationToken);

    /// <summary>Gives a token a new secret; the old one is dead at once, or after <paramref name="grace"/>.</summary>
    public Task<TokenChange> RollTokenAsync(CallContext call, string name, TimeSpan grace, CancellationToken cancellationToken) =>
        ChangeTokenAsync(call, "token.roll", name, session => Tokens.Roll(session, call.Caller, name, grace), cancellationToken);

    /// <summary>Ends a token.</summary>
    public Task<TokenChange> RevokeTokenAsync(CallContext call, string name, CancellationToken cancellationToken) =>
        ChangeTokenAsync(call, "token.revoke", name, session => Tokens.Revoke(session, call.Caller, name), cancellationToken);

    /// <summary>All tokens, without their secrets.</summary>
    public async Task<IReadOnlyList<TokenRecord>> ListTokensAsync(CallContext call)
    {
        await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, "token.list");
        // Whom a limited caller could not have given its token, it does not see.
        return [.. Tokens.All.Where(t => call.Caller.Grant.ReachesEverything || call.Caller.Grant.MissingFor(Tokens.GrantOf(t)) is null)];
    }

    private async Task<TokenChange> ChangeTokenAsync(
        CallContext call, string action, string name, Func<SqlSession, TokenChange> change, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, action);
        TokenChange done;
        try
        {
            done = await Database.WriteAsync(session =>
            {
                var written = change(session);
                ReleaseStore.WriteJournal(session, null, "token", call.Caller.Name, Time.GetUtcNow(), $"{action} {written.Record.Name}");
                Record(session, call, Entry(call, action, written.Record.Name) with { Detail = $"token {written.Record.Id}, role {written.Record.Role}" });
                return written;
            }, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            // It may be committed all the same: what the database says as soon as it answers is what holds.
            _tokensUnsure = true;
            throw;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Forbidden)
        {
            await RecordDenialAsync(call, action, name, Permission.TokenWrite.Name());
            throw;
        }
        // Committed and not yet answered: from here on the old secret is dead on this node.
        Tokens.Apply(done);
        return done;
    }

    /// <summary>Takes the tokens from the database again after a write of which it is not known whether it was committed.</summary>
    /// <exception cref="LockstepException">unavailable when the database still does not answer.</exception>
    public async Task SettleTokensAsync(CancellationToken cancellationToken)
    {
        if (!_tokensUnsure) return;
        _tokensUnsure = false;
        try
        {
            // On the writer: after every commit before it, and before every one after it.
            await Database.WriteAsync(session => { Tokens.Load(session); return true; }, cancellationToken);
        }
        catch
        {
            _tokensUnsure = true;
            throw;
        }
    }
}
