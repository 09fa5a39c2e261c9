using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Lockstep.Server;
using Lockstep.Settings;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Tests.Support;

/// <summary>An issuer of tokens on a port of its own: metadata, keys that may change, and signatures.</summary>
internal sealed class TestIssuer : IAsyncDisposable
{
    private readonly WebApplication _app;

    private TestIssuer(WebApplication app) => _app = app;

    public string Url { get; private set; } = "";

    /// <summary>What it publishes.</summary>
    public List<TestKey> Keys { get; } = [new("rsa-1", "RS256"), new("ec-1", "ES256"), new("ec-2", "ES384")];

    /// <summary>The paths that were asked for, in order.</summary>
    public ConcurrentQueue<string> Asked { get; } = new();

    /// <summary>The bearer token of each question.</summary>
    public ConcurrentQueue<string> Shown { get; } = new();

    /// <summary>Answers in the place of the issuer; true: answered.</summary>
    public Func<HttpContext, Task<bool>>? Instead { get; set; }

    public TestKey Rsa => Keys[0];

    public int KeysAsked => Asked.Count(p => p == "/jwks");

    public static async Task<TestIssuer> StartAsync()
    {
        var issuer = new TestIssuer(WebHosts.Create(ListenAddress.Loopback(0), null, NullLoggerFactory.Instance, maxConnections: 100));
        issuer._app.Run(issuer.AnswerAsync);
        await issuer._app.StartAsync();
        issuer.Url = WebHosts.AddressOf(issuer._app);
        return issuer;
    }

    public IssuerOptions Options(params IssuerRoleOptions[] roles) => new() { Issuer = Url, Audiences = ["lockstep"], Roles = [.. roles] };

    /// <summary>A good token of now, with claims in place of or beside its own; null takes one away.</summary>
    public string Token(DateTimeOffset now, TestKey? key = null, params (string Name, object? Value)[] claims)
    {
        key ??= Rsa;
        return key.Sign($$"""{"alg":"{{key.Algorithm}}","typ":"JWT","kid":"{{key.Id}}"}""", Claims(now, claims));
    }

    public string Claims(DateTimeOffset now, params (string Name, object? Value)[] claims)
    {
        var all = new Dictionary<string, object?>(StringComparer.Ordinal)
        {
            ["iss"] = Url, ["sub"] = "somebody", ["aud"] = "lockstep", ["iat"] = now.ToUnixTimeSeconds(), ["exp"] = now.ToUnixTimeSeconds() + 600,
        };
        foreach (var (name, value) in claims)
            if (value is null) all.Remove(name);
            else all[name] = value;
        return JsonSerializer.Serialize(all);
    }

    public async ValueTask DisposeAsync()
    {
        await _app.StopAsync();
        await _app.DisposeAsync();
        foreach (var key in Keys) key.Dispose();
    }

    private async Task AnswerAsync(HttpContext context)
    {
        Asked.Enqueue(context.Request.Path);
        Shown.Enqueue(context.Request.Headers.Authorization.ToString());
        if (Instead is not null && await Instead(context)) return;
        var body = context.Request.Path.Value switch
        {
            "/.well-known/openid-configuration" => JsonSerializer.Serialize(new { issuer = Url, jwks_uri = Url + "/jwks" }),
            "/jwks" => $$"""{"keys":[{{string.Join(',', Keys.Select(k => k.Jwk))}}]}""",
            _ => null,
        };
        context.Response.StatusCode = body is null ? 404 : 200;
        if (body is not null) await context.Response.WriteAsync(body);
    }
}

/// <summary>A key pair of an issuer, as it is published in <see cref="Jwk"/>.</summary>
internal sealed class TestKey : IDisposable
{
    public TestKey(string id, string algorithm, string? more = null, int bits = 2048)
    {
        (Id, Algorithm) = (id, algorithm);
        if (algorithm.StartsWith("ES", StringComparison.Ordinal))
        {
            Ec = ECDsa.Create(algorithm == "ES256" ? ECCurve.NamedCurves.nistP256 : ECCurve.NamedCurves.nistP384);
            var point = Ec.ExportParameters(false).Q;
            Jwk = $$"""{"kty":"EC","kid":"{{id}}","crv":"{{(algorithm == "ES256" ? "P-256" : "P-384")}}","x":"{{Encode(point.X!)}}","y":"{{Encode(point.Y!)}}"{{more}}}""";
        }
        else
        {
            Rsa = RSA.Create(bits);
            var key = Rsa.ExportParameters(false);
            Jwk = $$"""{"kty":"RSA","kid":"{{id}}","n":"{{Encode(key.Modulus!)}}","e":"{{Encode(key.Exponent!)}}"{{more}}}""";
        }
    }

    public string Id { get; }

    public string Algorithm { get; }

    public string Jwk { get; set; }

    public RSA? Rsa { get; }

    public ECDsa? Ec { get; }

    public static string Encode(byte[] bytes) => Base64Url.EncodeToString(bytes);

    public static string Encode(string text) => Encode(Encoding.UTF8.GetBytes(text));

    /// <summary>A token of this head and these claims, whatever they say.</summary>
    public string Sign(string head, string claims) => SignRaw($"{Encode(head)}.{Encode(claims)}");

    /// <summary>Signs what is to stand before the second dot.</summary>
    public string SignRaw(string signed) => $"{signed}.{Encode(Signature(Encoding.ASCII.GetBytes(signed), Algorithm))}";

    public byte[] Signature(byte[] signed, string algorithm) => algorithm switch
    {
        "PS256" => Rsa!.SignData(signed, HashAlgorithmName.SHA256, RSASignaturePadding.Pss),
        "RS256" => Rsa!.SignData(signed, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1),
        "ES384" => Ec!.SignData(signed, HashAlgorithmName.SHA384),
        _ => Ec!.SignData(signed, HashAlgorithmName.SHA256),
    };

    public void Dispose()
    {
        Rsa?.Dispose();
        Ec?.Dispose();
    }
}
