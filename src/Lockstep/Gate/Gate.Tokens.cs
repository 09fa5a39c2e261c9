using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Releases;
using Lockstep.Storage;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private volatile bool _tokensUnsure;

    /// <summary>Makes a service token; its secret is in the answer and nowhere else.</summary>
    public async Task<TokenChange> CreateTokenAsync(CallContext call, NewToken request, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, "token.create");
        return await ChangeTokenAsync(call, "token.create", request.Name, session => Tokens.Create(session, call.Caller, request), cancellationToken);
    }

    /// <summary>Makes a token that permits no more than the caller's own and dies with it; everybody may.</summary>
    public Task<TokenChange> DeriveTokenAsync(CallContext call, DerivedToken request, CancellationToken cancellationToken)
    {
        RateLimits.Derivation(call.Caller, Time);
        return ChangeTokenAsync(call, "token.derive", request.Name ?? call.Caller.Name, session => Tokens.Derive(session, call.Caller, request), cancellationToken);
    }

    /// <summary>Makes the caller's own token live on, if it was made so.</summary>
    public Task<TokenChange> RenewTokenAsync(CallContext call, TimeSpan? expiresIn, CancellationToken cancellationToken)
    {
        RateLimits.Derivation(call.Caller, Time);
        return ChangeTokenAsync(call, "token.renew", call.Caller.Name, session => Tokens.Renew(session, call.Caller, expiresIn), cancellationToken);
    }

    /// <summary>Gives a token a new secret; the old one is dead at once, or after <paramref name="grace"/>.</summary>
    public async Task<TokenChange> RollTokenAsync(CallContext call, string name, TimeSpan grace, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, "token.roll");
        return await ChangeTokenAsync(call, "token.roll", name, session => Tokens.Roll(session, call.Caller, name, grace), cancellationToken);
    }

    /// <summary>Ends a token. Its own everybody may end.</summary>
    public async Task<TokenChange> RevokeTokenAsync(CallContext call, string name, CancellationToken cancellationToken)
    {
        if (name != call.Caller.Name || call.Caller.Issued is not null) await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, "token.revoke");
        return await ChangeTokenAsync(call, "token.revoke", name, session => Tokens.Revoke(session, call.Caller, name), cancellationToken);
    }

    /// <summary>All tokens, without their secrets.</summary>
    public async Task<IReadOnlyList<TokenRecord>> ListTokensAsync(CallContext call)
    {
        await RequireAsync(call, Permission.TokenWrite, Subject.Nothing, "token.list");
        // Whom a limited caller could not have given its token, it does not see.
        return [.. Tokens.All.Where(t => call.Caller.Grant.ReachesEverything(Permission.TokenWrite) || call.Caller.Grant.MissingFor(Tokens.GrantOf(t)) is null)];
    }

    private async Task<TokenChange> ChangeTokenAsync(
        CallContext call, string action, string name, Func<SqlSession, TokenChange> change, CancellationToken cancellationToken)
    {
        try
        {
            var done = await WriteTokensAsync(session =>
            {
                // Before the change, which may be the end of the caller's own token.
                Authenticator.EnsureCurrent(session, call.Caller);
                var written = change(session);
                // Derived ones come and go by the thousand; the record has them.
                if (written.Record.Parent is null) ReleaseStore.WriteJournal(session, null, "token", call.Caller.Name, Time.GetUtcNow(), $"{action} {written.Record.Name}");
                Audit.Append(session, Entry(call, action, written.Record.Name) with { Detail = written.Record.Describe() });
                return written;
            }, cancellationToken);
            // Committed and not yet answered: from here on the old secret is dead on this node.
            Tokens.Apply(done);
            return done;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Forbidden)
        {
            await RecordDenialAsync(call, action, name, Permission.TokenWrite.Name());
            throw;
        }
    }

    private async Task<T> WriteTokensAsync<T>(Func<SqlSession, T> write, CancellationToken cancellationToken)
    {
        try
        {
            return await Database.WriteAsync(write, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            // It may be committed all the same: what the database says as soon as it answers is what holds.
            _tokensUnsure = true;
            throw;
        }
    }

    /// <summary>Takes tokens, roles and kills from the database again after a write of which it is not known whether it was committed.</summary>
    /// <exception cref="LockstepException">unavailable when the database still does not answer.</exception>
    public async Task SettleTokensAsync(CancellationToken cancellationToken)
    {
        if (!_tokensUnsure) return;
        _tokensUnsure = false;
        try
        {
            // On the writer: after every commit before it, and before every one after it.
            await Database.WriteAsync(session => { Authenticator.Load(session); return true; }, cancellationToken);
        }
        catch
        {
            _tokensUnsure = true;
            throw;
        }
    }

    /// <summary>Writes down when tokens were used, as far as what was written is older than <paramref name="grain"/>, and drops derived ones that have expired.</summary>
    public async Task KeepTokensAsync(TimeSpan grain, CancellationToken cancellationToken)
    {
        Tokens.ForgetEnded();
        if (Tokens.UnsavedUsage(grain) is { Count: > 0 } used)
            await Database.WriteAsync(session => { TokenRecord.SaveUsage(session, used); return true; }, cancellationToken);
    }
}
