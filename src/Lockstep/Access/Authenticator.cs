using System.Net;

namespace Lockstep.Access;

/// <summary>
/// Tells who shows a token, by the token's shape. Service tokens are looked up in the table; tokens of other issuers (JWTs) are one more
/// branch here that ends in a <see cref="Caller"/> of the same kind.
/// </summary>
internal sealed class Authenticator(TokenTable tokens)
{
    /// <summary>The caller, or why there is none; <paramref name="address"/> is where the request comes from.</summary>
    public Authentication Authenticate(string? bearer, IPAddress? address)
    {
        if (string.IsNullOrEmpty(bearer)) return new(AuthenticationFailure.Missing);
        return ServiceToken.TryParse(bearer, out var token) ? tokens.Authenticate(token, address) : new(AuthenticationFailure.Malformed);
    }
}

/// <summary>Why a token is not accepted: for the record; outside all of them are one 401.</summary>
internal enum AuthenticationFailure { None, Missing, Malformed, Unknown, Revoked, Expired, AddressNotAllowed }

internal static class AuthenticationFailures
{
    private static readonly string[] s_words = ["none", "missing", "malformed", "unknown", "revoked", "expired", "address-not-allowed"];

    /// <summary>The stable word for the record.</summary>
    public static string Word(this AuthenticationFailure failure) => s_words[(int)failure];
}

/// <summary>A caller, or why there is none. <paramref name="Record"/> is the token it was, when its secret was right.</summary>
internal readonly record struct Authentication(AuthenticationFailure Failure, Caller? Caller = null, TokenRecord? Record = null);
