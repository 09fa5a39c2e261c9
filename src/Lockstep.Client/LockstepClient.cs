using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Lockstep.Client;

/// <summary>
/// The calls of Lockstep's HTTP interface, typed. Every failure is a <see cref="LockstepException"/> with the server's code and text;
/// a server that does not answer is <c>unavailable</c>. No message holds the token or any part of a secret. Safe for concurrent use.
/// </summary>
public sealed partial class LockstepClient : IDisposable
{
    // Documents are far smaller; an answer beyond this is none of Lockstep's.
    private const int MaxAnswerBytes = 32 * 1024 * 1024;

    private readonly LockstepClientOptions _options;
    private readonly HttpClient _http;
    private readonly bool _ownsHttp;
    private readonly Uri[] _servers;

    // The one that answered last: the next call begins there.
    private volatile int _preferred;

    /// <summary>A client of the servers at <see cref="LockstepClientOptions.Addresses"/>.</summary>
    /// <param name="options">Where the servers are and which token to show.</param>
    /// <param name="http">Sends the requests in place of a client of its own; its time limit and redirects are its owner's.</param>
    /// <exception cref="LockstepException">bad-request when an address is not http or https, or a token would go over plain http to another machine.</exception>
    public LockstepClient(LockstepClientOptions options, HttpClient? http = null)
    {
        _options = options;
        if (options.Addresses.Count == 0) throw new LockstepException(ErrorCode.BadRequest, "no address of a server is given");
        _servers = [.. options.Addresses.Select(a => Checked(a, options))];
        _ownsHttp = http is null;
        _http = http ?? new HttpClient(NewHandler()) { Timeout = options.Timeout, MaxResponseContentBufferSize = MaxAnswerBytes };
    }

    /// <summary>The server's address; of several, the one that answered last.</summary>
    public Uri Address => _options.Addresses[_preferred];

    /// <summary>Asks whether the server is alive, without a token; answers with the server's clock if it tells.</summary>
    public async Task<DateTimeOffset?> PingAsync(CancellationToken cancellationToken = default)
    {
        using var request = Request(HttpMethod.Get, "livez");
        using var response = await ExchangeAsync(request, cancellationToken);
        return response.Headers.Date;
    }

    /// <summary>Where people log in to get a token for this server; asked without one.</summary>
    public async Task<Page<LoginIssuer>> GetLoginAsync(CancellationToken cancellationToken = default)
    {
        using var request = Request(HttpMethod.Get, "v1/login");
        using var response = await ExchangeAsync(request, cancellationToken);
        return await ReadAsync(response, LockstepJson.Tolerant.LoginPage, cancellationToken);
    }

    /// <summary>Who the server takes the caller for.</summary>
    public Task<WhoAmI> WhoAmIAsync(CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/whoami"), LockstepJson.Tolerant.WhoAmI, cancellationToken);

    /// <summary>Whether the caller has a permission for a document, for a secret, or at all.</summary>
    public Task<CanResult> CanAsync(string permission, string? service = null, string? environment = null, string? secret = null,
        CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/can").Query("permission", permission).Query("service", service).Query("environment", environment).Query("secret", secret),
            LockstepJson.Tolerant.CanResult, cancellationToken);

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsHttp) _http.Dispose();
    }

    /// <summary>The address as the base of relative ones.</summary>
    private static Uri Checked(Uri address, LockstepClientOptions options)
    {
        if (!address.IsAbsoluteUri || (address.Scheme != Uri.UriSchemeHttp && address.Scheme != Uri.UriSchemeHttps) || address.Query.Length > 0)
            throw new LockstepException(ErrorCode.BadRequest, $"the address '{address}' is not one of a server: write it as https://host:port");
        if (address.UserInfo.Length > 0)
            throw new LockstepException(ErrorCode.BadRequest, $"the address of {address.Host} holds a password: give a token file in its place");
        if (options.Token is not null && address.Scheme == Uri.UriSchemeHttp && !address.IsLoopback && !options.AllowPlainHttp)
            throw new LockstepException(ErrorCode.BadRequest,
                $"the token is not sent to {address} in the clear: use https, or allow plain http (--insecure) where the network in between is trusted");
        return address.AbsolutePath.EndsWith('/') ? address : new Uri(address.AbsoluteUri + "/");
    }

    // A proxy has no place between two processes of one machine. Redirects would carry the token to wherever they point.
    private SocketsHttpHandler NewHandler() => new()
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = !_servers.All(s => s.IsLoopback),
        Proxy = _servers.Any(s => s.IsLoopback) ? new ProxyBeyondLoopback() : null,
        ConnectTimeout = TimeSpan.FromSeconds(5),
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
    };

    private sealed class ProxyBeyondLoopback : IWebProxy
    {
        public ICredentials? Credentials { get; set; }

        public Uri? GetProxy(Uri destination) => destination.IsLoopback ? null : HttpClient.DefaultProxy.GetProxy(destination);

        public bool IsBypassed(Uri host) => host.IsLoopback || HttpClient.DefaultProxy.IsBypassed(host);
    }

    private Task<T> GetAsync<T>(Route route, JsonTypeInfo<T> type, CancellationToken cancellationToken) =>
        CallAsync(HttpMethod.Get, route, null, type, cancellationToken);

    private async Task<T> CallAsync<T>(HttpMethod method, Route route, HttpContent? body, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        using var response = await SendAsync(method, route, body, cancellationToken);
        return await ReadAsync(response, type, cancellationToken);
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, Route route, HttpContent? body, CancellationToken cancellationToken)
    {
        using var request = Request(method, route.ToString(), body);
        await AuthoriseAsync(request, cancellationToken);
        return await ExchangeAsync(request, cancellationToken);
    }

    /// <summary>A request whose server is chosen when it is sent.</summary>
    private static HttpRequestMessage Request(HttpMethod method, string route, HttpContent? body = null) =>
        new(method, new Uri(route, UriKind.Relative)) { Content = body };

    private async Task AuthoriseAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (_options.Instance is { } instance) request.Headers.TryAddWithoutValidation("Lockstep-Instance", instance);
        if (await TokenAsync(cancellationToken) is { } token) request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
    }

    /// <summary>The token of now, checked; null: there is none.</summary>
    internal async ValueTask<string?> TokenAsync(CancellationToken cancellationToken)
    {
        // A source that ignores its cancellation does not hold up the call.
        if (_options.Token is null || await _options.Token(cancellationToken).AsTask().WaitAsync(cancellationToken) is not { } token) return null;
        // Checked here because the header class would quote what it refuses.
        if (token.Length == 0 || token.AsSpan().ContainsAnyExceptInRange('!', '~'))
            throw new LockstepException(ErrorCode.Unauthenticated, "the token is empty or holds characters that no token has: check where it comes from");
        return token;
    }

    /// <summary>
    /// Sends, and turns every failure but the caller's own cancellation into a <see cref="LockstepException"/>. The answer is a success or a 304. A server that can't be
    /// connected to has not seen the request: the next one is asked.
    /// </summary>
    private async Task<HttpResponseMessage> ExchangeAsync(
        HttpRequestMessage request, CancellationToken cancellationToken, HttpCompletionOption completion = HttpCompletionOption.ResponseContentRead)
    {
        var (first, route) = (_preferred, request.RequestUri!);
        for (var tried = 1; ; tried++)
        {
            var at = (first + tried - 1) % _servers.Length;
            // A message is sent once.
            var attempt = tried == 1 ? request : Request(request.Method, "", request.Content);
            attempt.RequestUri = new Uri(_servers[at], route);
            if (tried > 1)
                foreach (var (name, values) in request.Headers.NonValidated) attempt.Headers.TryAddWithoutValidation(name, values);
            HttpResponseMessage response;
            try
            {
                response = await _http.SendAsync(attempt, completion, cancellationToken);
            }
            catch (Exception e) when (tried < _servers.Length && IsNotConnected(e) && !cancellationToken.IsCancellationRequested)
            {
                continue;
            }
            catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
            {
                throw Unreachable(_options.Addresses[at], e);
            }
            _preferred = at;
            if (response.IsSuccessStatusCode || response.StatusCode == HttpStatusCode.NotModified) return response;
            using (response) throw await FailureAsync(response, cancellationToken);
        }
    }

    private static bool IsNotConnected(Exception e) => IsConnectTimeout(e) || e is
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError };

    // The handler's limit on connecting; that of the call as a whole has another cancellation inside.
    private static bool IsConnectTimeout(Exception e) => e is OperationCanceledException { InnerException: TimeoutException { InnerException: null } };

    private LockstepException Unreachable(Uri address, Exception e) => new(ErrorCode.Unavailable, e switch
    {
        HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => $"the host of {address} is not known: check the address",
        HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } => $"no trusted connection to {address}: check its certificate",
        HttpRequestException { HttpRequestError: HttpRequestError.ConfigurationLimitExceeded } => $"the answer of {address} is larger than any of Lockstep's: is it one?",
        HttpRequestException { InnerException: SocketException { SocketErrorCode: SocketError.ConnectionRefused } } =>
            $"nothing listens at {address}: is the server running? Start it with `lockstep serve` or `lockstep dev`, or give its address with --addr or LOCKSTEP_ADDR",
        HttpRequestException http => $"{address} does not answer ({http.HttpRequestError}): is the server running? Give its address with --addr or LOCKSTEP_ADDR",
        _ when IsConnectTimeout(e) => $"{address} does not accept connections: is the server running, and is there a way through the network?",
        _ => $"{address} did not answer within {Durations.Format(_options.Timeout)}",
    }, e);

    private async Task<LockstepException> FailureAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var status = (int)response.StatusCode;
        if (status is >= 300 and < 400)
            return new(ErrorCode.Unavailable, $"{Address} points to {(response.Headers.Location is { IsAbsoluteUri: true } to ? to.GetLeftPart(UriPartial.Authority) : "elsewhere")}: a token is not sent after it; give that address itself");
        Problem? problem = null;
        if (response.Content.Headers.ContentType?.MediaType is "application/problem+json")
        {
            try
            {
                problem = JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(cancellationToken), LockstepJson.Tolerant.Problem);
            }
            catch (JsonException)
            {
                // Told by its status alone.
            }
        }
        var code = ErrorCode.From(problem?.Code, status);
        var detail = problem is { Detail.Length: > 0 } ? problem.Detail
            : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Address} answered {status} {code.Title}; is it a Lockstep server?");
        return new(code, detail)
        {
            Errors = problem?.Errors ?? [],
            RetryAfter = response.Headers.RetryAfter?.Delta,
        };
    }

    private async Task<T> ReadAsync<T>(HttpResponseMessage response, JsonTypeInfo<T> type, CancellationToken cancellationToken)
    {
        try
        {
            // Buffered already.
            return JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(cancellationToken), type) ?? throw NotUnderstood(null);
        }
        catch (JsonException e)
        {
            throw NotUnderstood(e);
        }

        // The inner message names a path in the document, never what is there.
        LockstepException NotUnderstood(JsonException? e) => new(ErrorCode.Unavailable,
            $"the answer of {Address} to {response.RequestMessage?.Method} {response.RequestMessage?.RequestUri?.AbsolutePath} is not what this version understands: is it a Lockstep server, and not older than this program?", e);
    }

    private static ByteArrayContent Body<T>(T value, JsonTypeInfo<T> type) => new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(value, type))
    {
        Headers = { ContentType = new MediaTypeHeaderValue("application/json") },
    };
}
