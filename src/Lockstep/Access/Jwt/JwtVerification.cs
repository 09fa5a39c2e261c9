namespace Lockstep.Access.Jwt;

/// <summary>The identity, or why there is none.</summary>
internal readonly record struct JwtVerification(JwtFailure Failure, JwtIdentity? Identity)
{
    public static implicit operator JwtVerification(JwtFailure failure) => new(failure, null);
}

/// <summary>Why a token of an issuer is not accepted: for the record; outside all of them are one 401.</summary>
internal enum JwtFailure
{
    None,
    Malformed,
    UntrustedIssuer,
    AlgorithmNotAllowed,
    UnknownKey,
    BadSignature,
    InvalidClaims,
    WrongAudience,
    Expired,
    NotYetValid,
    TooOld,
}

internal static class JwtFailures
{
    private static readonly string[] s_words =
    [
        "none", "malformed", "untrusted-issuer", "algorithm-not-allowed", "unknown-key", "bad-signature", "invalid-claims", "wrong-audience", "expired", "not-yet-valid", "too-old",
    ];

    /// <summary>The stable word for the record.</summary>
    public static string Word(this JwtFailure failure) => s_words[(int)failure];
}
