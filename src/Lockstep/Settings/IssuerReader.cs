using System.Collections.Immutable;
using System.Net;

namespace Lockstep.Settings;

/// <summary>Reads <c>access.issuers</c>.</summary>
internal static class IssuerReader
{
    private const int MaxIssuers = 16;
    private const int MaxAudiences = 32;
    private const int MaxRoles = 256;
    private const int MaxText = 255;

    private static readonly TimeSpan s_longestAge = TimeSpan.FromDays(400);

    public static IReadOnlyList<IssuerOptions> Read(SettingsReader access)
    {
        var issuers = new List<IssuerOptions>();
        foreach (var item in access.Items("issuers"))
        {
            if (issuers.Count == MaxIssuers)
            {
                access.Fail("issuers", $"holds more than {MaxIssuers} issuers");
                break;
            }
            var issuer = ReadOne(item, $"access.issuers[{issuers.Count}]");
            if (issuers.Any(i => i.Issuer == issuer.Issuer && i.Issuer.Length > 0)) item.Fail("issuer", "is listed twice; give one entry every audience and role");
            issuers.Add(issuer);
        }
        return issuers;
    }

    private static IssuerOptions ReadOne(SettingsReader item, string where)
    {
        var issuer = item.Text("issuer") ?? "";
        if (UrlOf(issuer) is null) item.Fail("issuer", "must be the issuer's https: URL exactly as its tokens spell it, without query (http: is for 127.0.0.1 and localhost alone)");
        var jwks = item.Text("jwksUri");
        if (jwks is not null && UrlOf(jwks) is null) item.Fail("jwksUri", "must be an https: URL without query (http: is for 127.0.0.1 and localhost alone)");
        var audiences = Texts(item, "audience", MaxAudiences);
        if (audiences.Length == 0) item.Fail("audience", "must say for whom the tokens are made, such as lockstep: a token for somebody else is worth nothing here");
        var options = new IssuerOptions
        {
            Issuer = issuer,
            Audiences = audiences,
            JwksUri = jwks is null ? null : UrlOf(jwks),
            CaFile = item.Path("caFile"),
            TokenFile = item.Path("tokenFile"),
            Algorithms = Algorithms(item),
            MaxAge = item.Duration("maxAge", IssuerOptions.DefaultMaxAge, TimeSpan.FromMinutes(1), s_longestAge),
            Roles = Roles(item),
            Login = Login(item, audiences),
            Where = where,
        };
        item.Done();
        return options;
    }

    /// <summary>A URL that tells nobody on the way who asks for what; null for every other text.</summary>
    private static Uri? UrlOf(string text) =>
        text.Length <= MaxText && text.All(c => c is > ' ' and < (char)127) && Uri.TryCreate(text, UriKind.Absolute, out var url)
        && (url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && IsLoopback(url))) && url is { UserInfo: "", Query: "", Fragment: "" }
            ? url
            : null;

    private static bool IsLoopback(Uri url) => url.Host == "localhost" || (IPAddress.TryParse(url.Host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));

    private static ImmutableArray<string> Texts(SettingsReader section, string key, int max)
    {
        var texts = section.TextOrTexts(key) ?? [];
        if (texts.Count > max) section.Fail(key, $"holds more than {max} items");
        if (texts.Any(t => !IsText(t))) section.Fail(key, $"must be texts of 1 to {MaxText} characters");
        return [.. texts];
    }

    private static ImmutableArray<string> Algorithms(SettingsReader item)
    {
        if (item.Texts("algorithms") is not { } names) return IssuerOptions.KnownAlgorithms;
        if (names.Count == 0 || names.Any(n => !IssuerOptions.KnownAlgorithms.Contains(n, StringComparer.Ordinal)))
            item.Fail("algorithms", $"must be a list of {string.Join(", ", IssuerOptions.KnownAlgorithms)}");
        return [.. names];
    }

    private static ImmutableArray<IssuerRoleOptions> Roles(SettingsReader item)
    {
        var roles = ImmutableArray.CreateBuilder<IssuerRoleOptions>();
        foreach (var rule in item.Items("roles"))
        {
            roles.Add(new IssuerRoleOptions(Required(rule, "claim"), Required(rule, "value"), Required(rule, "role")));
            rule.Done();
        }
        if (roles.Count > MaxRoles) item.Fail("roles", $"holds more than {MaxRoles} rules");
        return roles.ToImmutable();
    }

    private static LoginOptions? Login(SettingsReader item, ImmutableArray<string> audiences)
    {
        if (!item.Has("login")) return null;
        var section = item.Section("login");
        var client = Required(section, "clientId");
        var scopes = Texts(section, "scopes", MaxAudiences);
        section.Done();
        if (scopes.IsEmpty) scopes = ["openid"];
        if (!scopes.Contains("openid", StringComparer.Ordinal) || scopes.Any(s => s.Contains(' '))) section.Fail("scopes", "must be a list that holds openid, such as [openid, profile]");
        if (client.Length > 0 && !audiences.Contains(client, StringComparer.Ordinal)) section.Fail("clientId", "must be an audience too: the token that people log in with is made for it");
        return new LoginOptions(client, scopes);
    }

    private static string Required(SettingsReader section, string key)
    {
        var text = section.Text(key) ?? "";
        if (!IsText(text)) section.Fail(key, $"must be a text of 1 to {MaxText} characters");
        return text;
    }

    private static bool IsText(string text) => text.Length is > 0 and <= MaxText && !text.Any(char.IsControl);
}
