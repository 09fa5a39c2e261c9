using System.Text;
using System.Text.Json;
using Lockstep.Access.Jwt;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Cli;

/// <summary>
/// The authorization code flow of a native program (RFC 8252, OpenID Connect Core §3.1) with PKCE: the browser talks to the issuer, this program gets the
/// ID token for the code. Its signature is for the server to judge; it came from the issuer itself.
/// </summary>
internal sealed class LoginFlow(LoginIssuer issuer, TimeProvider time, ILoggerFactory loggers) : IDisposable
{
    private const int MaxAnswer = 256 * 1024;

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private readonly HttpClient _http = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = !new Uri(issuer.Issuer).IsLoopback,
        ConnectTimeout = TimeSpan.FromSeconds(5),
    }) { Timeout = TimeSpan.FromSeconds(15), MaxResponseContentBufferSize = MaxAnswer };

    /// <summary>The ID token. <paramref name="show"/> brings the person to the issuer's page.</summary>
    public async Task<LoginToken> RunAsync(Action<Uri> show, CancellationToken cancellationToken)
    {
        var (authorize, redeem, namesIssuer) = await DiscoverAsync(cancellationToken);
        var (verifier, nonce) = (Pkce.Random(), Pkce.Random());
        await using var callback = await LoginCallback.StartAsync(issuer.Issuer, namesIssuer, loggers, cancellationToken);
        show(new Uri(authorize.AbsoluteUri + (authorize.Query.Length == 0 ? "?" : "&") + Form(
            ("response_type", "code"), ("client_id", issuer.ClientId), ("redirect_uri", callback.RedirectUri), ("scope", string.Join(' ', issuer.Scopes)),
            ("state", callback.State), ("nonce", nonce), ("code_challenge", Pkce.Challenge(verifier)), ("code_challenge_method", "S256"))));
        using var limit = new CancellationTokenSource(s_patience, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        string code;
        try
        {
            code = await callback.CodeAsync(either.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw Failed($"nobody logged in within {Durations.Format(s_patience)}");
        }
        var body = Form(("grant_type", "authorization_code"), ("code", code), ("redirect_uri", callback.RedirectUri), ("client_id", issuer.ClientId), ("code_verifier", verifier));
        using var answer = await AskAsync(new HttpRequestMessage(HttpMethod.Post, redeem) { Content = new StringContent(body, Encoding.ASCII, "application/x-www-form-urlencoded") }, cancellationToken);
        return Check(StrictJson.TextOf(answer.RootElement, "id_token") ?? throw Failed($"{redeem} gave no ID token; is openid among the scopes?"), nonce);
    }

    public void Dispose() => _http.Dispose();

    /// <summary>A URL to which what nobody else may read can be sent; null for others.</summary>
    public static Uri? SafeUrl(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && (url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && url.IsLoopback)) && url is { UserInfo: "", Fragment: "" }
            ? url
            : null;

    private async Task<(Uri Authorize, Uri Redeem, bool NamesIssuer)> DiscoverAsync(CancellationToken cancellationToken)
    {
        var location = new Uri(issuer.Issuer.TrimEnd('/') + "/.well-known/openid-configuration");
        using var metadata = await AskAsync(new HttpRequestMessage(HttpMethod.Get, location), cancellationToken);
        var root = metadata.RootElement;
        if (StrictJson.TextOf(root, "issuer") != issuer.Issuer) throw Failed($"{location} is the metadata of another issuer");
        return SafeUrl(StrictJson.TextOf(root, "authorization_endpoint")) is { } authorize && SafeUrl(StrictJson.TextOf(root, "token_endpoint")) is { } redeem
            ? (authorize, redeem, root.TryGetProperty("authorization_response_iss_parameter_supported", out var names) && names.ValueKind == JsonValueKind.True)
            : throw Failed($"{location} names no https: URL for authorization and tokens");
    }

    private async Task<JsonDocument> AskAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        var where = request.RequestUri!.GetLeftPart(UriPartial.Path);
        try
        {
            using (request)
            {
                using var response = await _http.SendAsync(request, cancellationToken);
                var isJson = StrictJson.TryParse(await response.Content.ReadAsByteArrayAsync(cancellationToken), out var document);
                if (isJson && response.IsSuccessStatusCode) return document!;
                var error = isJson ? StrictJson.TextOf(document!.RootElement, "error") : null;
                document?.Dispose();
                throw Failed($"{where} answers {(int)response.StatusCode}{(error is null ? "" : $", {LoginCallback.Word(error)}")}");
            }
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new LockstepException(ErrorCode.Unavailable, $"{where} does not answer: {e.GetBaseException().Message}", e);
        }
    }

    // OpenID Connect Core §3.1.3.7.
    private LoginToken Check(string token, string nonce)
    {
        if (!CompactJws.TryParse(token, out var jws)) throw Failed("the ID token is not one");
        using (jws)
        {
            if (!IssuerOptions.KnownAlgorithms.Contains(jws.Algorithm, StringComparer.Ordinal))
                throw Failed($"the issuer signs with {LoginCallback.Word(jws.Algorithm)}, of which Lockstep takes {string.Join(", ", IssuerOptions.KnownAlgorithms)}: choose one of them for the client {issuer.ClientId}");
            if (StrictJson.TextOf(jws.Claims, "iss") != issuer.Issuer) throw Failed("the ID token is of another issuer");
            if (StrictJson.TextOf(jws.Claims, "nonce") != nonce) throw Failed("the ID token is not for this login");
            if (!IsForUs(jws.Claims)) throw Failed("the ID token is for another client");
            if (!jws.Claims.TryGetProperty("exp", out var exp) || !JwtClaims.TryTime(exp, out var end) || end <= time.GetUtcNow()) throw Failed("the ID token has expired; are the clocks right?");
            return new LoginToken(token, StrictJson.TextOf(jws.Claims, "sub") ?? throw Failed("the ID token names nobody"), end);
        }
    }

    private bool IsForUs(JsonElement claims)
    {
        if (!claims.TryGetProperty("aud", out var aud)) return false;
        if (aud.ValueKind == JsonValueKind.String) return aud.ValueEquals(issuer.ClientId);
        return aud.ValueKind == JsonValueKind.Array && aud.EnumerateArray().Any(a => a.ValueKind == JsonValueKind.String && a.ValueEquals(issuer.ClientId))
            && (aud.GetArrayLength() == 1 || StrictJson.TextOf(claims, "azp") == issuer.ClientId);
    }

    private static string Form(params (string Name, string Value)[] fields) => string.Join('&', fields.Select(f => $"{f.Name}={Uri.EscapeDataString(f.Value)}"));

    private static LockstepException Failed(string why) => new(ErrorCode.Unauthenticated, $"not logged in: {why}");
}

/// <summary>An ID token, whom it names, and its end.</summary>
internal sealed record LoginToken(string Token, string Subject, DateTimeOffset EndsAt);
