using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Settings;
using Lockstep.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Lockstep.Cli;

/// <summary>Where the browser brings the answer of the issuer: a port of this machine's own, for one login (RFC 8252 §7.3).</summary>
internal sealed class LoginCallback : IAsyncDisposable
{
    private const string Path = "/callback";
    private const int MaxCode = 8 * 1024;

    private readonly TaskCompletionSource<string> _code = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly WebApplication _app;
    private readonly string _issuer;
    private readonly bool _namesIssuer;

    private LoginCallback(WebApplication app, string issuer, bool namesIssuer) => (_app, _issuer, _namesIssuer) = (app, issuer, namesIssuer);

    /// <summary>What the issuer gives back, so that an answer nobody asked for is none.</summary>
    public string State { get; } = Pkce.Random();

    public string RedirectUri => WebHosts.AddressOf(_app).TrimEnd('/') + Path;

    /// <param name="issuer">Who must have answered, when it says so (RFC 9207).</param>
    /// <param name="namesIssuer">Whether it always says so.</param>
    /// <param name="loggers">For the listener.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    public static async Task<LoginCallback> StartAsync(string issuer, bool namesIssuer, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var listen = ListenAddress.Loopback(0);
        var callback = new LoginCallback(WebHosts.Create(listen, null, loggers, maxConnections: 16), issuer, namesIssuer);
        RunExtensions.Run(callback._app, callback.AnswerAsync);
        await Listening.StartAsync(callback._app, listen, "login", cancellationToken);
        return callback;
    }

    /// <summary>The code that the issuer gave; waits for it.</summary>
    /// <exception cref="LockstepException">The issuer refused.</exception>
    public Task<string> CodeAsync(CancellationToken cancellationToken) => _code.Task.WaitAsync(cancellationToken);

    public async ValueTask DisposeAsync()
    {
        // Waits for the page that the browser is being told.
        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Method != HttpMethods.Get || context.Request.Path != Path) return SayAsync(context, 404, "This is the port of a login that is under way.");
        var query = context.Request.Query;
        // Anybody can send a browser here: what does not know the state changes nothing.
        if (One(query, "state") is not { } state || !CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(state), Encoding.UTF8.GetBytes(State)))
            return SayAsync(context, 400, "This is not the answer to the login that is under way.");
        if (One(query, "iss") is var issuer && (issuer is null ? _namesIssuer || query.ContainsKey("iss") : issuer != _issuer))
            return FailAsync(context, "the answer is of another issuer");
        if (query.ContainsKey("error")) return FailAsync(context, $"the issuer refused: {Word(One(query, "error"))}");
        if (One(query, "code") is not { Length: > 0 and <= MaxCode } code) return FailAsync(context, "the answer holds no code");
        _code.TrySetResult(code);
        return SayAsync(context, 200, "You are logged in as far as the issuer is concerned. The terminal says the rest; this page may be closed.");
    }

    /// <summary>A word from elsewhere that is fit to be printed.</summary>
    public static string Word(string? text) => text is { Length: > 0 and <= 100 } && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.') ? text : "for no reason that it names";

    private Task FailAsync(HttpContext context, string why)
    {
        _code.TrySetException(new LockstepException(ErrorCode.Unauthenticated, $"not logged in: {why}"));
        return SayAsync(context, 400, "You are not logged in. The terminal says why.");
    }

    private static string? One(IQueryCollection query, string name) => query.TryGetValue(name, out var values) && values.Count == 1 ? values[0] : null;

    private static Task SayAsync(HttpContext context, int status, string text)
    {
        var response = context.Response;
        response.StatusCode = status;
        response.ContentType = "text/plain; charset=utf-8";
        SecurityHeaders.Set(context);
        response.Headers.Connection = "close";
        return response.WriteAsync(text, context.RequestAborted);
    }
}

/// <summary>Proof that who redeems a code is who asked for it (RFC 7636).</summary>
internal static class Pkce
{
    public static string Random() => System.Buffers.Text.Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));

    /// <summary>S256.</summary>
    public static string Challenge(string verifier) => System.Buffers.Text.Base64Url.EncodeToString(SHA256.HashData(Encoding.ASCII.GetBytes(verifier)));
}
