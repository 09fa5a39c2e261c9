using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Support;

/// <summary>The Transit engine and the AppRole login of a Vault, at the wire; it can be made to misbehave.</summary>
internal sealed class FakeVault : IAsyncDisposable
{
    public const string Token = "hvs.the-token-that-nobody-may-see";

    private readonly WebApplication _app;
    private readonly Dictionary<string, byte[]> _keys = new(StringComparer.Ordinal) { ["lockstep"] = RandomNumberGenerator.GetBytes(32) };

    private FakeVault(WebApplication app) => _app = app;

    public Uri Address => new(_app.Urls.First());

    /// <summary>Answers in place of the engine while it is set; true: it has.</summary>
    public Func<HttpContext, Task<bool>>? Misbehave { get; set; }

    /// <summary>Whether it is an engine of before associated data, which leaves it out.</summary>
    public bool LeavesOutBinding { get; set; }

    public string ValidToken { get; set; } = Token;

    /// <summary>Every body and header that was sent, for what must not be there.</summary>
    public List<(string Path, string Body, string? Token, string? Namespace)> Calls { get; } = [];

    public static async Task<FakeVault> StartAsync(X509Certificate2? certificate = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l => { if (certificate is not null) l.UseHttps(certificate); }));
        var app = builder.Build();
        var vault = new FakeVault(app);
        app.Run(vault.AnswerAsync);
        await app.StartAsync();
        return vault;
    }

    public void AddKey(string name) => _keys[name] = RandomNumberGenerator.GetBytes(32);

    public async ValueTask DisposeAsync() => await _app.DisposeAsync();

    public static Task WriteAsync(HttpContext context, int status, object body)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(body as string ?? JsonSerializer.Serialize(body));
    }

    private async Task AnswerAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        var text = await reader.ReadToEndAsync();
        var path = context.Request.Path.Value!;
        string? Header(string name) => context.Request.Headers[name].FirstOrDefault();
        lock (Calls) Calls.Add((path, text, Header("X-Vault-Token"), Header("X-Vault-Namespace")));
        if (Misbehave is { } misbehave && await misbehave(context)) return;
        using var json = JsonDocument.Parse(text);
        var body = json.RootElement;
        string? Field(string name) => body.TryGetProperty(name, out var value) ? value.GetString() : null;
        if (path == "/v1/auth/approle/login")
        {
            if (Field("role_id") == "the-role" && Field("secret_id") == "the-secret") await WriteAsync(context, 200, new { request_id = "1", auth = new { client_token = ValidToken, lease_duration = 60 }, data = (object?)null });
            else await WriteAsync(context, 400, new { errors = new[] { "invalid role or secret ID" } });
            return;
        }
        if (Header("X-Vault-Token") != ValidToken)
        {
            await WriteAsync(context, 403, new { errors = new[] { "permission denied" } });
            return;
        }
        var parts = path.Split('/');
        if (parts is not ["", "v1", "transit", "encrypt" or "decrypt", _]) await WriteAsync(context, 404, new { errors = new[] { $"no handler for route \"{path[4..]}\". route entry not found." } });
        else if (!_keys.TryGetValue(parts[4], out var key)) await WriteAsync(context, 400, new { errors = new[] { "encryption key not found" } });
        else await CryptAsync(context, key, Convert.FromBase64String(LeavesOutBinding ? "" : Field("associated_data") ?? ""), Field("plaintext"), Field("ciphertext"));
    }

    private static async Task CryptAsync(HttpContext context, byte[] key, byte[] bound, string? plaintext, string? ciphertext)
    {
        using var aes = new AesGcm(key, 16);
        if (plaintext is not null)
        {
            var plain = Convert.FromBase64String(plaintext);
            var made = new byte[12 + plain.Length + 16];
            RandomNumberGenerator.Fill(made.AsSpan(0, 12));
            aes.Encrypt(made.AsSpan(0, 12), plain, made.AsSpan(12, plain.Length), made.AsSpan(12 + plain.Length), bound);
            await WriteAsync(context, 200, new { request_id = "2", lease_id = "", data = new { ciphertext = "vault:v1:" + Convert.ToBase64String(made), key_version = 1 }, warnings = (object?)null });
            return;
        }
        try
        {
            var made = Convert.FromBase64String(ciphertext!["vault:v1:".Length..]);
            var plain = new byte[made.Length - 28];
            aes.Decrypt(made.AsSpan(0, 12), made.AsSpan(12, plain.Length), made.AsSpan(12 + plain.Length), plain, bound);
            await WriteAsync(context, 200, $$"""{"request_id":"3","data":{"plaintext":"{{Convert.ToBase64String(plain)}}"},"mount_type":"transit"}""");
        }
        catch (CryptographicException)
        {
            await WriteAsync(context, 400, new { errors = new[] { "cipher: message authentication failed" } });
        }
    }
}
