using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Lockstep.Settings;

namespace Lockstep.Access.Jwt;

/// <summary>What the claims of a token with a good signature must say.</summary>
internal static class JwtClaims
{
    /// <summary>How far clocks may be apart.</summary>
    public static readonly TimeSpan Skew = TimeSpan.FromSeconds(30);

    private const int MaxName = 255;

    // The last second of the year 9999.
    private const decimal MaxSeconds = 253402300799m;

    /// <summary>The identity of the token at <paramref name="now"/>, or why there is none.</summary>
    public static JwtVerification Check(JsonElement claims, IssuerOptions issuer, ImmutableArray<RoleRule> rules, DateTimeOffset now)
    {
        if (StrictJson.TextOf(claims, "sub") is not { } subject || !IsName(subject)) return JwtFailure.InvalidClaims;
        if (claims.TryGetProperty("jti", out var id) && id.ValueKind != JsonValueKind.String) return JwtFailure.InvalidClaims;
        if (CheckAudience(claims, issuer.Audiences) is not JwtFailure.None and var audience) return audience;
        if (!claims.TryGetProperty("iat", out var iat) || !TryTime(iat, out var issuedAt) || !claims.TryGetProperty("exp", out var exp) || !TryTime(exp, out var expiresAt))
            return JwtFailure.InvalidClaims;
        var notBefore = issuedAt;
        if (claims.TryGetProperty("nbf", out var nbf) && !TryTime(nbf, out notBefore)) return JwtFailure.InvalidClaims;
        if (CheckTimes(issuedAt, notBefore, expiresAt, (issuer.MaxAge, now)) is not JwtFailure.None and var times) return times;
        return new JwtVerification(JwtFailure.None, new JwtIdentity
        {
            Issuer = issuer.Issuer,
            Subject = subject,
            IssuedAt = issuedAt,
            ExpiresAt = expiresAt,
            Rules = [.. rules.Where(r => Meets(claims, r))],
            TokenId = id.ValueKind == JsonValueKind.String && id.GetString() is { } tokenId && IsName(tokenId) ? tokenId : null,
        });
    }

    // At many issuers anybody can enter any address: it says who somebody is only when the issuer has seen to that.
    private static bool Meets(JsonElement claims, RoleRule rule) =>
        ClaimPath.TryFind(claims, rule.Claim, out var claim) && ClaimPath.Matches(claim, rule.Value)
        && (rule.Claim != "email" || (claims.TryGetProperty("email_verified", out var verified) && (verified.ValueKind == JsonValueKind.True || (verified.ValueKind == JsonValueKind.String && verified.ValueEquals("true")))));

    /// <summary>When the token is not accepted any more, whatever else holds.</summary>
    public static DateTimeOffset EndOf(JwtIdentity identity, TimeSpan maxAge)
    {
        var old = identity.IssuedAt + maxAge;
        return (old < identity.ExpiresAt ? old : identity.ExpiresAt) + Skew;
    }

    private static JwtFailure CheckTimes(DateTimeOffset issuedAt, DateTimeOffset notBefore, DateTimeOffset expiresAt, (TimeSpan MaxAge, DateTimeOffset Now) limits)
    {
        var (maxAge, now) = limits;
        if (expiresAt <= issuedAt) return JwtFailure.InvalidClaims;
        // Differences, so that no date runs over its end.
        if (now - expiresAt >= Skew) return JwtFailure.Expired;
        if (issuedAt - now > Skew || notBefore - now > Skew) return JwtFailure.NotYetValid;
        return expiresAt - issuedAt > maxAge || now - issuedAt >= maxAge + Skew ? JwtFailure.TooOld : JwtFailure.None;
    }

    private static JwtFailure CheckAudience(JsonElement claims, ImmutableArray<string> audiences)
    {
        if (!claims.TryGetProperty("aud", out var aud)) return JwtFailure.WrongAudience;
        if (aud.ValueKind == JsonValueKind.String) return audiences.Contains(aud.GetString()!, StringComparer.Ordinal) ? JwtFailure.None : JwtFailure.WrongAudience;
        if (aud.ValueKind != JsonValueKind.Array || aud.EnumerateArray().Any(a => a.ValueKind != JsonValueKind.String)) return JwtFailure.InvalidClaims;
        return aud.EnumerateArray().Any(a => audiences.Contains(a.GetString()!, StringComparer.Ordinal)) ? JwtFailure.None : JwtFailure.WrongAudience;
    }

    /// <summary>A NumericDate (RFC 7519 §2) in plain digits with or without a fraction.</summary>
    public static bool TryTime(JsonElement element, out DateTimeOffset time)
    {
        time = default;
        if (element.ValueKind != JsonValueKind.Number || element.GetRawText() is not { Length: <= 20 } text) return false;
        if (!decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) || seconds > MaxSeconds) return false;
        time = DateTimeOffset.UnixEpoch.AddTicks((long)(seconds * TimeSpan.TicksPerSecond));
        return true;
    }

    // It stands in records and on terminals.
    private static bool IsName(string text) => text.Length is > 0 and <= MaxName && text.EnumerateRunes().All(IsPrintable);

    private static bool IsPrintable(Rune rune) => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator
        or UnicodeCategory.ParagraphSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned);
}
