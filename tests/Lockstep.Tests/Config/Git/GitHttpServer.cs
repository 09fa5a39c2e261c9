using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Config.Git;

/// <summary>Serves repositories as <c>git http-backend</c> does behind any web server, with Basic authentication when a password is set.</summary>
internal sealed class GitHttpServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly string _root;
    private int _fetches;

    private GitHttpServer(WebApplication app, string root)
    {
        _app = app;
        _root = root;
    }

    public string Url => _app.Urls.Single();

    public string? Password { get; set; }

    /// <summary>Answers every request with a redirect there.</summary>
    public string? RedirectTo { get; set; }

    public ConcurrentQueue<string?> Authorizations { get; } = [];

    /// <summary>Called while a client waits for its answer.</summary>
    public Action OnRequest { get; set; } = () => { };

    /// <summary>How many fetches and clones began.</summary>
    public int Fetches => Volatile.Read(ref _fetches);

    /// <param name="root">The directory of the repositories.</param>
    /// <param name="certificate">For HTTPS; null: HTTP.</param>
    public static async Task<GitHttpServer> StartAsync(string root, X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, listen =>
        {
            if (certificate is not null) listen.UseHttps(certificate);
        }));
        builder.Logging.ClearProviders();
        var app = builder.Build();
        var server = new GitHttpServer(app, root);
        app.Run(server.HandleAsync);
        await app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        var authorization = context.Request.Headers.Authorization.ToString();
        Authorizations.Enqueue(authorization.Length == 0 ? null : Encoding.UTF8.GetString(Convert.FromBase64String(authorization["Basic ".Length..])));
        if (RedirectTo is not null)
        {
            context.Response.Redirect(RedirectTo + context.Request.Path + context.Request.QueryString);
            return;
        }

        if (Password is not null && Authorizations.Last() != "robot:" + Password)
        {
            context.Response.StatusCode = 401;
            context.Response.Headers.WWWAuthenticate = "Basic realm=\"git\"";
            return;
        }

        if (context.Request.Path.Value!.EndsWith("/info/refs", StringComparison.Ordinal)) Interlocked.Increment(ref _fetches);
        OnRequest();
        await RunBackendAsync(context);
    }

    private async Task RunBackendAsync(HttpContext context)
    {
        var start = new ProcessStartInfo("git", ["http-backend"]) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["GIT_PROJECT_ROOT"] = _root;
        start.Environment["GIT_HTTP_EXPORT_ALL"] = "1";
        start.Environment["PATH_INFO"] = context.Request.Path;
        start.Environment["QUERY_STRING"] = context.Request.QueryString.Value!.TrimStart('?');
        start.Environment["REQUEST_METHOD"] = context.Request.Method;
        start.Environment["CONTENT_TYPE"] = context.Request.ContentType;
        start.Environment["GIT_PROTOCOL"] = context.Request.Headers["Git-Protocol"];
        start.Environment["HTTP_CONTENT_ENCODING"] = context.Request.Headers.ContentEncoding;
        using var backend = Process.Start(start)!;
        await context.Request.Body.CopyToAsync(backend.StandardInput.BaseStream);
        backend.StandardInput.Close();
        var output = new MemoryStream();
        await backend.StandardOutput.BaseStream.CopyToAsync(output);
        await backend.WaitForExitAsync();

        var bytes = output.ToArray();
        var end = bytes.AsSpan().IndexOf("\r\n\r\n"u8);
        foreach (var line in Encoding.ASCII.GetString(bytes, 0, end).Split("\r\n"))
        {
            var (name, value) = (line[..line.IndexOf(':')], line[(line.IndexOf(':') + 1)..].Trim());
            if (name == "Status")
                context.Response.StatusCode = int.Parse(value[..3], CultureInfo.InvariantCulture);
            else
                context.Response.Headers[name] = value;
        }

        await context.Response.Body.WriteAsync(bytes.AsMemory(end + 4));
    }
}
