using System.Collections.Immutable;
using System.Text;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Access.Jwt;

/// <summary>The trusted issuers: tells whether a JWT is of one of them, made for this server and in time, and which roles it gives.</summary>
internal sealed class JwtIssuers : IAsyncDisposable
{
    private readonly Dictionary<string, Issuer> _issuers = new(StringComparer.Ordinal);
    private readonly VerifiedTokens _verified = new();
    private readonly TimeProvider _time;

    /// <exception cref="Client.LockstepException">invalid-config when the authorities of an issuer can't be read.</exception>
    public JwtIssuers(IReadOnlyList<IssuerOptions> options, TimeProvider time, ILogger<JwtIssuers> log)
    {
        _time = time;
        foreach (var issuer in options) _issuers.Add(issuer.Issuer, new Issuer(issuer, RulesOf(issuer), new IssuerKeys(issuer, time, log)));
    }

    public bool IsEmpty => _issuers.Count == 0;

    /// <summary>Whether the text has the outer form of a JWT; nothing is said about what is in it.</summary>
    public static bool LooksLikeJwt(string bearer) => bearer.StartsWith("eyJ", StringComparison.Ordinal) && bearer.AsSpan().Count('.') == 2;

    public bool Trusts(string issuer) => _issuers.ContainsKey(issuer);

    /// <summary>Fetches the keys now and keeps them fresh. An issuer that does not answer holds up nobody else.</summary>
    public void Start()
    {
        foreach (var issuer in _issuers.Values) issuer.Keys.Start();
    }

    /// <summary>Whom the token names, or why it is not accepted. A token that was verified before is answered at once.</summary>
    /// <exception cref="Client.LockstepException">unavailable when the keys of its issuer can't be had.</exception>
    public ValueTask<JwtVerification> VerifyAsync(string token, CancellationToken cancellationToken)
    {
        if (token.Length > CompactJws.MaxLength || !Ascii.IsValid(token)) return new(JwtFailure.Malformed);
        var hash = TokenHash.Of(token);
        var known = _verified.Find(hash);
        return known is not null && known.Holds(_time.GetUtcNow()) ? new(new JwtVerification(JwtFailure.None, known.Identity)) : VerifyAsync(token, hash, known, cancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var issuer in _issuers.Values) await issuer.Keys.DisposeAsync();
    }

    private async ValueTask<JwtVerification> VerifyAsync(string token, TokenHash hash, VerifiedToken? known, CancellationToken cancellationToken)
    {
        if (!CompactJws.TryParse(token, out var jws)) return JwtFailure.Malformed;
        using (jws)
        {
            // Nothing that the token says is believed yet: its issuer tells only whose keys are tried.
            if (StrictJson.TextOf(jws.Claims, "iss") is not { } name || !_issuers.TryGetValue(name, out var issuer)) return JwtFailure.UntrustedIssuer;
            if (!issuer.Options.Algorithms.Contains(jws.Algorithm, StringComparer.Ordinal)) return JwtFailure.AlgorithmNotAllowed;
            var keys = await issuer.Keys.GetAsync(cancellationToken);
            var failure = keys.Select(jws.Algorithm, jws.KeyId, out var key);
            if (failure == JwtFailure.UnknownKey)
            {
                keys = await issuer.Keys.NewerAsync(keys, cancellationToken);
                failure = keys.Select(jws.Algorithm, jws.KeyId, out key);
            }
            if (failure == JwtFailure.None && !key!.Verify(jws.Algorithm, jws.Signed, jws.Signature)) failure = JwtFailure.BadSignature;
            var verification = failure == JwtFailure.None ? JwtClaims.Check(jws.Claims, issuer.Options, issuer.Rules, _time.GetUtcNow()) : failure;
            if (verification.Identity is not { } identity)
            {
                if (known is not null) _verified.Remove(hash);
                return verification;
            }
            // Everybody can have a token of a public issuer: who is given no role takes no place.
            if (identity.Rules.IsEmpty) return verification;
            var kept = _verified.Add(hash, new VerifiedToken(identity, issuer.Keys, keys, JwtClaims.EndOf(identity, issuer.Options.MaxAge)));
            kept.VerifiedWith(keys);
            kept.Identity.KeyHolds = () => issuer.Keys.Current?.Holds(key!) == true;
            return verification with { Identity = kept.Identity };
        }
    }

    private static ImmutableArray<RoleRule> RulesOf(IssuerOptions issuer) =>
    [
        .. issuer.Roles.Select((rule, i) => Glob.TryParse(rule.Value, out var value)
            ? new RoleRule(rule.Role, rule.Claim, value, $"{issuer.Where}.roles[{i}]")
            : throw new InvalidOperationException($"{issuer.Where}.roles[{i}] was not checked")),
    ];

    private sealed record Issuer(IssuerOptions Options, ImmutableArray<RoleRule> Rules, IssuerKeys Keys);
}
