using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Robustness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Benchmarks;

/// <summary>An issuer of JWTs in this process: discovery, its keys, and tokens signed with them.</summary>
internal sealed class TokenIssuer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly RSA _rsa = RSA.Create(2048);
    private readonly ECDsa _ec = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    private TokenIssuer(int port)
    {
        Url = $"http://127.0.0.1:{port}";
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port));
        _app = builder.Build();
        _app.Run(context =>
        {
            context.Response.ContentType = "application/json";
            return context.Response.WriteAsync(context.Request.Path == "/keys" ? Keys() : $$"""{"issuer":"{{Url}}","jwks_uri":"{{Url}}/keys"}""");
        });
    }

    public string Url { get; }

    public static async Task<TokenIssuer> StartAsync()
    {
        var issuer = new TokenIssuer(Tool.FreePort());
        await issuer._app.StartAsync();
        return issuer;
    }

    /// <summary>A token of its own for each number.</summary>
    public string Sign(string algorithm, int number)
    {
        var now = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        var text = Text($$"""{"alg":"{{algorithm}}","kid":"{{algorithm}}","typ":"JWT"}""") + "."
            + Text($$"""{"iss":"{{Url}}","aud":"bench","sub":"bench-{{number}}","iat":{{now}},"exp":{{now + 3600}}}""");
        var bytes = Encoding.ASCII.GetBytes(text);
        var signature = algorithm == "RS256" ? _rsa.SignData(bytes, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1) : _ec.SignData(bytes, HashAlgorithmName.SHA256);
        return $"{text}.{Base64Url.EncodeToString(signature)}";
    }

    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync();
        _rsa.Dispose();
        _ec.Dispose();
    }

    private string Keys()
    {
        var (rsa, ec) = (_rsa.ExportParameters(false), _ec.ExportParameters(false));
        return $$"""
            {"keys":[{"kty":"RSA","kid":"RS256","alg":"RS256","use":"sig","n":"{{Base64Url.EncodeToString(rsa.Modulus)}}","e":"{{Base64Url.EncodeToString(rsa.Exponent)}}"},
            {"kty":"EC","kid":"ES256","alg":"ES256","use":"sig","crv":"P-256","x":"{{Base64Url.EncodeToString(ec.Q.X)}}","y":"{{Base64Url.EncodeToString(ec.Q.Y)}}"}]}
            """;
    }

    private static string Text(string json) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(json));
}
