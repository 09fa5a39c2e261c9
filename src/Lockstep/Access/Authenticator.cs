using System.Collections.Concurrent;
using System.Net;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Access;

/// <summary>
/// Tells who shows a token, by the token's shape, and whether it still holds. Service tokens are looked up in the table; tokens of issuers (JWTs) are verified.
/// </summary>
internal sealed class Authenticator
{
    private readonly TokenTable _tokens;
    private readonly Kills _kills;
    private readonly JwtIssuers _issuers;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<LongRequest, bool> _long = new();

    public Authenticator(TokenTable tokens, Kills kills, JwtIssuers issuers, TimeProvider time)
    {
        (_tokens, _kills, _issuers, _time) = (tokens, kills, issuers, time);
        tokens.Changed += Raise;
    }

    /// <summary>Called after tokens, roles or kills have changed, before that is answered.</summary>
    public event Action? Changed;

    /// <summary>The caller, or why there is none; <paramref name="address"/> is where the request comes from.</summary>
    /// <exception cref="LockstepException">unavailable when the keys of a token's issuer can't be had.</exception>
    public ValueTask<Authentication> AuthenticateAsync(string? bearer, IPAddress? address, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(bearer)) return new(new Authentication(null, Authentication.Missing));
        if (ServiceToken.TryParse(bearer, out var token)) return new(_tokens.Authenticate(token, address));
        return JwtIssuers.LooksLikeJwt(bearer) && !_issuers.IsEmpty ? VerifyAsync(bearer, address, cancellationToken) : new(new Authentication(null, "malformed"));
    }

    /// <summary>Takes everything from the database, as <see cref="TokenTable.Load"/> does.</summary>
    public void Load(SqlSession session)
    {
        _kills.Load(session);
        _tokens.Load(session);
    }

    /// <summary>Makes a kill take effect, for tokens of issuers and for service tokens.</summary>
    public void Apply(Kill kill, IReadOnlyList<TokenChange> ended)
    {
        _kills.Apply(kill);
        // That tells everybody to look, unless it ended no service token that is known here.
        if (!_tokens.Apply(ended)) Raise();
    }

    /// <summary>Whether the token is still what it was when the caller was identified.</summary>
    public bool IsCurrent(Caller caller) => StandingOf(caller) != Standing.Ended;

    /// <summary>What has become of a caller's token since the caller was identified.</summary>
    public Standing StandingOf(Caller caller)
    {
        if (caller.IsSystem) return Standing.Current;
        if (caller.Issued is not { } issued) return _tokens.StandingOf(caller);
        if (caller.ExpiresAt <= _time.GetUtcNow() || !issued.Identity.KeyHolds() || _kills.Reach(caller)) return Standing.Ended;
        return IssuedCallers.HasOtherGrant(caller, _tokens.Roles) ? Standing.OtherGrant : Standing.Current;
    }

    /// <summary>Has <paramref name="end"/> called, once at most, when the caller's token ends before the result is disposed: for what takes long, and must not outlive its token.</summary>
    public IDisposable WhenEnded(Caller caller, Action end)
    {
        var request = new LongRequest(this, caller, end);
        _long[request] = true;
        // A token that ended before it was in the list was not seen by who ended it.
        if (!IsCurrent(caller)) request.End();
        return request;
    }

    /// <summary>Ends the long requests of tokens that have ended; called once a second too, for those that expire.</summary>
    public void EndRequests()
    {
        foreach (var (request, _) in _long)
            if (!IsCurrent(request.Caller)) request.End();
    }

    /// <summary>Refuses, before something leaves, a caller whose token was rolled, revoked or killed since the request began, or permits something else now.</summary>
    /// <exception cref="LockstepException">unauthenticated; unavailable when it must be asked again.</exception>
    public void EnsureCurrent(Caller caller)
    {
        var standing = StandingOf(caller);
        if (standing == Standing.Current) return;
        // The latter is no reason to take the token for dead: asked again, it is answered by what its roles say now.
        throw standing == Standing.Ended ? NotCurrent(caller) : OtherGrant(caller);
    }

    /// <summary>The same inside the transaction of what it is about to write.</summary>
    /// <exception cref="LockstepException">unauthenticated; unavailable when it must be asked again.</exception>
    public void EnsureCurrent(SqlSession session, Caller caller)
    {
        if (caller.IsSystem) return;
        if (caller.Issued is null ? !_tokens.IsCurrent(session, caller) : Kills.Reach(session, caller)) throw NotCurrent(caller);
        EnsureCurrent(caller);
    }

    private void Raise()
    {
        Changed?.Invoke();
        EndRequests();
    }

    private async ValueTask<Authentication> VerifyAsync(string token, IPAddress? address, CancellationToken cancellationToken)
    {
        var (failure, identity) = await _issuers.VerifyAsync(token, cancellationToken);
        if (identity is null) return new(null, "jwt-" + failure.Word());
        // Everybody may have a token of a public issuer: who is given no role is nobody here, and is not entered one by one.
        if (IssuedCallers.Of(identity, _tokens.Roles) is not { } caller) return new(null, "jwt-no-role");
        if (caller.Grant.From(address) is not { } grant) return new(null, "address-not-allowed");
        if (grant != caller.Grant) caller = caller.With(grant);
        if (_kills.Reach(caller)) return new(null, "jwt-killed");
        caller.Usage.Used(_time.GetUtcNow());
        return new(caller);
    }

    private static LockstepException OtherGrant(Caller caller) =>
        new(ErrorCode.Unavailable, $"what the token '{caller.Name}' may do has changed while this was under way; nothing was done: ask again");

    private static LockstepException NotCurrent(Caller caller) =>
        new(ErrorCode.Unauthenticated, $"the token '{caller.Name}' was rolled, revoked or has expired while this was under way; nothing was done");

    private sealed class LongRequest(Authenticator owner, Caller caller, Action end) : IDisposable
    {
        public Caller Caller => caller;

        public void End()
        {
            if (owner._long.TryRemove(this, out _)) end();
        }

        public void Dispose() => owner._long.TryRemove(this, out _);
    }
}

/// <summary>What has become of a caller's token: it holds, it holds and permits something else, or it does not hold any more.</summary>
internal enum Standing { Current, OtherGrant, Ended }

/// <summary>A caller, or in a stable word for the record why there is none: outside all of them are one 401.</summary>
internal readonly record struct Authentication(Caller? Caller, string? Failure = null)
{
    /// <summary>There was no token at all: no attempt, and not counted as one.</summary>
    public const string Missing = "missing";
}
