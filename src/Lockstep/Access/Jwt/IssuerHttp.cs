using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Access.Jwt;

/// <summary>Fetches the keys of one issuer, by way of its metadata (OpenID Connect Discovery 1.0 §4) unless the settings say where they are.</summary>
internal sealed class IssuerHttp : IDisposable
{
    private const int MaxAnswer = 256 * 1024;
    private const int MaxFile = 1024 * 1024;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    private readonly IssuerOptions _options;
    private readonly Uri _issuer;
    private readonly HttpClient _http;

    /// <exception cref="LockstepException">invalid-config when the authorities can't be read.</exception>
    public IssuerHttp(IssuerOptions options)
    {
        _options = options;
        _issuer = new Uri(options.Issuer);
        // A redirect is no answer: it would take the question, and what proves who asks, to somebody else.
        var handler = new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            UseProxy = !_issuer.IsLoopback,
            ConnectTimeout = s_timeout,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        };
        if (options.CaFile is { } file) handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = TrustOnly(file, options.Where) };
        _http = new HttpClient(handler) { Timeout = s_timeout, MaxResponseContentBufferSize = MaxAnswer };
    }

    /// <summary>The keys as they are published now.</summary>
    /// <exception cref="LockstepException">unavailable, with what was wrong.</exception>
    public async Task<KeySet> FetchAsync(CancellationToken cancellationToken)
    {
        var location = _options.JwksUri ?? await DiscoverAsync(cancellationToken);
        var body = await GetAsync(location, cancellationToken);
        return KeySet.TryRead(body, out var keys) ? keys : throw Failed($"{location} is no set of keys with one that can be used");
    }

    public void Dispose() => _http.Dispose();

    private async Task<Uri> DiscoverAsync(CancellationToken cancellationToken)
    {
        var location = new Uri(_options.Issuer.TrimEnd('/') + "/.well-known/openid-configuration");
        if (!StrictJson.TryParse(await GetAsync(location, cancellationToken), out var document)) throw Failed($"{location} is not JSON");
        using (document)
        {
            if (StrictJson.TextOf(document.RootElement, "issuer") != _options.Issuer) throw Failed($"{location} is the metadata of another issuer");
            if (!Uri.TryCreate(StrictJson.TextOf(document.RootElement, "jwks_uri"), UriKind.Absolute, out var keys) || !IsSafe(keys))
                throw Failed($"the jwks_uri in {location} is not an https: URL");
            return keys;
        }
    }

    private bool IsSafe(Uri keys) => keys.Scheme == Uri.UriSchemeHttps || (keys is { Scheme: "http", IsLoopback: true } && _issuer.IsLoopback);

    private async Task<byte[]> GetAsync(Uri location, CancellationToken cancellationToken)
    {
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, location);
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
            // What the metadata name may be another host: the token is not for that.
            if (_options.TokenFile is { } file && (location.Authority == _issuer.Authority || location == _options.JwksUri))
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", ReadFile(file).Trim());
            using var response = await _http.SendAsync(request, cancellationToken);
            return (int)response.StatusCode == 200
                ? await response.Content.ReadAsByteArrayAsync(cancellationToken)
                : throw Failed($"{location} answers {(int)response.StatusCode}");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or UnauthorizedAccessException or FormatException
            || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            // The format is that of the token in a header: its own words would quote it.
            throw Failed(e is OperationCanceledException ? $"{location} does not answer within {s_timeout.TotalSeconds:0} s"
                : e is FormatException ? $"{_options.TokenFile} holds no token" : $"{location}: {e.GetBaseException().Message}");
        }
    }

    private static X509ChainPolicy TrustOnly(string file, string where)
    {
        var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        try
        {
            policy.CustomTrustStore.ImportFromPem(ReadFile(file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new LockstepException(ErrorCode.InvalidConfig, $"{where}.caFile: {file} can't be read: {e.Message}", e);
        }
        return policy.CustomTrustStore.Count > 0 ? policy : throw new LockstepException(ErrorCode.InvalidConfig, $"{where}.caFile: {file} holds no certificate in PEM form");
    }

    private static string ReadFile(string path) => new FileInfo(path).Length <= MaxFile ? File.ReadAllText(path) : throw new IOException($"{path} is too large");

    private static LockstepException Failed(string why) => new(ErrorCode.Unavailable, why);
}
