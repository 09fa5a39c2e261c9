using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>An OpenID provider as others run it (npm's oidc-provider): its tokens at the published program, its keys when they change, and a person who logs in there.</summary>
[Trait("speed", "medium")]
public sealed partial class OidcProviderTests(ITestOutputHelper output) : IAsyncLifetime
{
    private const string Package = "oidc-provider@9.13.3";

    private const string Keys = """
        import { generateKeyPairSync } from 'node:crypto';
        const jwk = (kid, alg, type, options) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });
        const n = process.argv[2];
        console.log(JSON.stringify({ keys: [jwk('rsa-' + n, 'RS256', 'rsa', { modulusLength: 2048 }), jwk('ec-' + n, 'ES256', 'ec', { namedCurve: 'P-256' })] }));
        """;

    // A public client for people, and a confidential one whose access tokens are JWTs (RFC 9068).
    private const string Issuer = """
        import { readFileSync } from 'node:fs';
        import Provider from 'oidc-provider';
        const [port, keys] = process.argv.slice(2);
        const provider = new Provider(`http://127.0.0.1:${port}`, {
            clients: [
                { client_id: 'lockstep-cli', application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'], grant_types: ['authorization_code'], response_types: ['code'],
                  token_endpoint_auth_method: 'none' },
                { client_id: 'worker', client_secret: 'for-tests', redirect_uris: [], grant_types: ['client_credentials'], response_types: [] },
            ],
            jwks: JSON.parse(readFileSync(keys, 'utf8')),
            cookies: { keys: ['for-tests'] },
            features: {
                clientCredentials: { enabled: true },
                resourceIndicators: {
                    enabled: true,
                    defaultResource: () => [],
                    getResourceServerInfo: () => ({ audience: 'lockstep', scope: 'config', accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'ES256' } } }),
                },
            },
        });
        provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
        """;

    private readonly Scratch _scratch = new();
    private readonly int _port = Tool.FreePort();
    private Running? _issuer;
    private PublishedServer? _server;

    private string IssuerUrl => $"http://127.0.0.1:{_port}";

    private PublishedServer Server => _server!;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        if (_issuer is not null) await _issuer.DisposeAsync();
        _scratch.Dispose();
    }

    [Fact]
    public async Task Its_tokens_are_accepted_and_end_with_its_keys()
    {
        if (!await StartAsync()) return;
        var before = await WorkerTokenAsync();
        (await WhoAmIAsync(before)).GetProperty("roles").EnumerateArray().Select(r => r.GetProperty("role").GetString()).ShouldBe(["viewer"]);
        (await StatusAsync(before, "/v1/config/shop/production")).ShouldBe(HttpStatusCode.OK);
        (await StatusAsync(before, "/v1/secrets")).ShouldBe(HttpStatusCode.Forbidden);
        (await StatusAsync(before[..^1] + (before[^1] == 'A' ? 'Q' : 'A'), "/v1/whoami")).ShouldBe(HttpStatusCode.Unauthorized);

        // The old keys are gone with the old process: the first token of the new ones makes the server ask, no sooner than the floor allows.
        await RunIssuerAsync("2");
        var after = await WorkerTokenAsync();
        await Tool.UntilAsync(async () =>
        {
            if (await StatusAsync(after, "/v1/whoami") == HttpStatusCode.OK) return true;
            // Who fails too often is not answered any more.
            await Task.Delay(TimeSpan.FromSeconds(1), TimeProvider.System);
            return false;
        }, TimeSpan.FromSeconds(60), "the new key is known");
        (await StatusAsync(before, "/v1/whoami")).ShouldBe(HttpStatusCode.Unauthorized);

        // While the issuer is away its tokens are judged by what it last said.
        await _issuer!.DisposeAsync();
        _issuer = null;
        (await StatusAsync(after, "/v1/whoami")).ShouldBe(HttpStatusCode.OK);
        Server.Log.ShouldNotContain(after);
    }

    [Fact]
    public async Task A_person_logs_in_with_a_browser()
    {
        if (!await StartAsync()) return;
        await using var login = Running.Start(Command("login", "--no-browser"));
        await login.SaysAsync("code_challenge_method=S256");
        var url = new Uri(AuthorizeUrl().Match(login.Output).Value);
        var page = await BrowseAsync(url);
        page.ShouldContain("logged in");
        (await login.EndedAsync()).ShouldBe(0, login.Output);
        login.Output.ShouldContain($"logged in at {IssuerUrl} as ada until");

        var file = Directory.GetFiles(Path.Combine(_scratch["home"], "lockstep", "logins")).ShouldHaveSingleItem();
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var token = (await File.ReadAllTextAsync(file)).Trim();
        login.Output.ShouldNotContain(token);
        Server.Log.ShouldNotContain(token);
        using var me = JsonDocument.Parse((await Tool.RunAsync(Command("whoami", "--json"))).Ok());
        me.RootElement.GetProperty("name").GetString()!.ShouldStartWith("ada@");
        (await Tool.RunAsync(Command("config", "get", "port", "-s", "shop", "-e", "production"))).Ok().Trim().ShouldBe("5432");
        // It is for that server alone.
        var elsewhere = await Tool.RunAsync(Command("whoami", "--addr", $"http://127.0.0.1:{_port}"));
        elsewhere.ExitCode.ShouldBe(4);
        elsewhere.Error.ShouldContain("there is no token");
        (await Tool.RunAsync(Command("logout"))).Ok();
        (await Tool.RunAsync(Command("whoami"))).Error.ShouldContain("lockstep login");
    }

    [Fact]
    public async Task A_person_who_does_not_agree_is_not_logged_in()
    {
        if (!await StartAsync()) return;
        await using var login = Running.Start(Command("login", "--no-browser", "--issuer", IssuerUrl, "--client-id", "lockstep-cli"));
        await login.SaysAsync("code_challenge_method=S256");
        using var browser = Browser();
        var first = await browser.GetAsync(new Uri(AuthorizeUrl().Match(login.Output).Value));
        using var answer = await browser.GetAsync(new Uri(first.RequestMessage!.RequestUri!.AbsoluteUri + "/abort"));
        (await answer.Content.ReadAsStringAsync()).ShouldContain("not logged in");
        (await login.EndedAsync()).ShouldBe(4);
        login.Output.ShouldContain("access_denied");
        Directory.Exists(_scratch["home"]).ShouldBeFalse();
    }

    private async Task<bool> StartAsync()
    {
        if (!await Node.IsHereAsync(output)) return false;
        (await Tool.RunAsync("npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", _scratch.Path, Package)).Ok();
        _scratch.Write("keys.mjs", Keys);
        _scratch.Write("issuer.mjs", Issuer);
        await RunIssuerAsync("1");
        await ConfigRepository.CreateAsync(_scratch["repository.git"], [("shop.yml", "port: 5432\n")]);
        _server = await PublishedServer.StartAsync(new ServerSetup
        {
            ConfigUrl = _scratch["repository.git"],
            Settings = $$"""
                access:
                  issuers:
                    - issuer: {{IssuerUrl}}
                      audience: [lockstep, lockstep-cli]
                      login: { clientId: lockstep-cli }
                      roles:
                        - { claim: sub, value: worker, role: viewer }
                        - { claim: sub, value: ada, role: reader }
                """,
        });
        return true;
    }

    private async Task RunIssuerAsync(string keys)
    {
        if (_issuer is not null) await _issuer.DisposeAsync();
        var file = _scratch.Write($"keys-{keys}.json", (await Tool.RunAsync("node", _scratch["keys.mjs"], keys)).Ok());
        _issuer = Running.Start(Tool.Start("node", [_scratch["issuer.mjs"], $"{_port}", file]));
        await _issuer.SaysAsync("listening");
    }

    private async Task<string> WorkerTokenAsync()
    {
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes("worker:for-tests")));
        using var form = new FormUrlEncodedContent([new("grant_type", "client_credentials"), new("resource", "urn:lockstep"), new("scope", "config")]);
        using var answer = await http.PostAsync(new Uri(IssuerUrl + "/token"), form);
        using var body = JsonDocument.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync());
        return body.RootElement.GetProperty("access_token").GetString()!;
    }

    private async Task<HttpStatusCode> StatusAsync(string token, string path)
    {
        using var answer = await GetAsync(token, path);
        return answer.StatusCode;
    }

    private async Task<JsonElement> WhoAmIAsync(string token)
    {
        using var answer = await GetAsync(token, "/v1/whoami");
        return JsonElement.Parse(await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync());
    }

    private async Task<HttpResponseMessage> GetAsync(string token, string path)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return await Server.Client.SendAsync(request);
    }

    private ProcessStartInfo Command(params string[] arguments)
    {
        var command = Server.CommandOf(arguments);
        command.Environment.Remove("LOCKSTEP_TOKEN");
        command.Environment["XDG_CONFIG_HOME"] = _scratch["home"];
        return command;
    }

    /// <summary>What a person does: any name, any password, and yes.</summary>
    private static async Task<string> BrowseAsync(Uri url)
    {
        using var browser = Browser();
        var page = await browser.GetAsync(url);
        page = await SubmitAsync(browser, page, new("prompt", "login"), new("login", "ada"), new("password", "any"));
        page = await SubmitAsync(browser, page, new KeyValuePair<string, string>("prompt", "consent"));
        page.RequestMessage!.RequestUri!.AbsolutePath.ShouldBe("/callback");
        return await page.Content.ReadAsStringAsync();
    }

    private static async Task<HttpResponseMessage> SubmitAsync(HttpClient browser, HttpResponseMessage page, params KeyValuePair<string, string>[] fields)
    {
        page.RequestMessage!.RequestUri!.AbsolutePath.ShouldStartWith("/interaction/", Case.Sensitive, await page.Content.ReadAsStringAsync());
        using var form = new FormUrlEncodedContent(fields);
        return await browser.PostAsync(page.RequestMessage.RequestUri, form);
    }

    private static HttpClient Browser() => new(new HttpClientHandler { CookieContainer = new CookieContainer(), UseProxy = false });

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+/auth\?\S+")]
    private static partial Regex AuthorizeUrl();
}
