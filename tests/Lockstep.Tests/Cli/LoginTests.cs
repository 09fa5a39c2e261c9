using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Web;
using Lockstep.Tests.Client;
using Lockstep.Tests.Support;
using Microsoft.AspNetCore.Http;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

/// <summary><c>lockstep login</c> against issuers and browsers that do not mean well, and the use of what it keeps.</summary>
[Trait("speed", "medium")]
public sealed partial class LoginTests : IAsyncLifetime
{
    private const string Me = """{"id":"i","name":"me","roles":[]}""";

    private readonly LockstepProcess _lockstep = new();
    private TestIssuer _issuer = null!;
    private FakeServer _server = null!;
    private string? _metadata;
    private string? _answer;
    private string? _form;

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    public async Task InitializeAsync()
    {
        _issuer = await TestIssuer.StartAsync();
        _issuer.Instead = AnswerAsync;
        _server = await FakeServer.StartAsync(context => FakeServer.Json(context, context.Request.Path == "/v1/login"
            ? $$"""{"items":[{"issuer":"{{_issuer.Url}}","clientId":"cli","scopes":["openid","email"]}],"next":null}"""
            : Me));
        _lockstep.Environment.Clear();
        _lockstep.Environment["LOCKSTEP_ADDR"] = _server.Address.ToString();
    }

    public async Task DisposeAsync()
    {
        _lockstep.Dispose();
        await _server.DisposeAsync();
        await _issuer.DisposeAsync();
    }

    [Fact]
    public async Task The_issuer_is_asked_with_PKCE_and_the_token_is_kept_for_the_server_and_shown_to_it_alone()
    {
        var ended = await LoginAsync(url => (Back(url), [("aud", "cli"), ("nonce", Query(url, "nonce"))]));
        ended.ExitCode.ShouldBe(0, ended.Error);
        ended.Output.ShouldStartWith($"logged in at {_issuer.Url} as somebody until ");
        var form = HttpUtility.ParseQueryString(_form!);
        form["grant_type"].ShouldBe("authorization_code");
        form["code"].ShouldBe("the-code");
        form["client_id"].ShouldBe("cli");
        form["code_verifier"]!.Length.ShouldBe(43);
        (ended.Output + ended.Error).ShouldNotContain("the-code");
        (ended.Output + ended.Error).ShouldNotContain(form["code_verifier"]!);

        (await _lockstep.RunAsync("whoami")).ExitCode.ShouldBe(0);
        _server.Requests.Last().Headers.Authorization.ToString().ShouldStartWith("Bearer eyJ");
        _server.Requests.First().Headers.ContainsKey("Authorization").ShouldBeFalse("where to log in is asked without a token");
        await using var other = await FakeServer.StartAsync(Me);
        (await _lockstep.RunAsync("whoami", "--addr", other.Address.ToString())).ExitCode.ShouldBe(4);
        other.Requests.ShouldBeEmpty();
        // Every other token comes first.
        _lockstep.Environment["LOCKSTEP_TOKEN"] = "lks_mine";
        (await _lockstep.RunAsync("whoami")).ExitCode.ShouldBe(0);
        _server.Requests.Last().Headers.Authorization.ToString().ShouldBe("Bearer lks_mine");
        _lockstep.Environment.Remove("LOCKSTEP_TOKEN");
        (await _lockstep.RunAsync("logout")).ExitCode.ShouldBe(0);
        (await _lockstep.RunAsync("whoami")).Error.ShouldContain("run `lockstep login`");
        (await _lockstep.RunAsync("logout")).Error.ShouldContain("nobody is logged in");
    }

    [Theory]
    [InlineData("&state=wrong")]
    [InlineData("")]
    [InlineData("&state={state}&state={state}")]
    public async Task An_answer_that_does_not_know_the_state_changes_nothing(string state)
    {
        var ended = await LoginAsync(async url =>
        {
            var stray = Query(url, "redirect_uri") + "?code=stray" + state.Replace("{state}", Query(url, "state"), StringComparison.Ordinal);
            (await GetAsync(stray)).ShouldBe(400);
            (await GetAsync(Query(url, "redirect_uri") + "/elsewhere")).ShouldBe(404);
            return (Back(url), [("aud", "cli"), ("nonce", Query(url, "nonce"))]);
        });
        ended.ExitCode.ShouldBe(0, ended.Error);
        _form!.ShouldContain("code=the-code");
    }

    [Theory]
    [InlineData("&error=access_denied", "the issuer refused: access_denied")]
    [InlineData("&error=%1b[31m&code=the-code", "the issuer refused: for no reason")]
    [InlineData("", "holds no code")]
    [InlineData("&code=a&code=b", "holds no code")]
    [InlineData("&code=the-code&iss=https://evil.example.com", "another issuer")]
    [InlineData("&code=the-code&iss={issuer}&iss={issuer}", "another issuer")]
    public async Task An_answer_that_is_wrong_ends_the_login(string rest, string message)
    {
        var ended = await LoginAsync(url =>
            ($"{Query(url, "redirect_uri")}?state={Query(url, "state")}{rest.Replace("{issuer}", _issuer.Url, StringComparison.Ordinal)}", [("aud", "cli"), ("nonce", Query(url, "nonce"))]));
        Refused(ended, message);
        _form.ShouldBeNull();
    }

    [Theory]
    [InlineData("nonce", "other", "not for this login")]
    [InlineData("nonce", null, "not for this login")]
    [InlineData("iss", "https://evil.example.com", "of another issuer")]
    [InlineData("aud", "other", "for another client")]
    [InlineData("aud", null, "for another client")]
    [InlineData("sub", null, "names nobody")]
    [InlineData("exp", "1", "expired")]
    [InlineData("exp", null, "expired")]
    public async Task A_token_that_is_not_for_this_login_is_not_kept(string claim, string? value, string message)
    {
        object? wrong = claim == "exp" && value is not null ? 1 : value;
        var ended = await LoginAsync(url => (Back(url), [("aud", "cli"), ("nonce", Query(url, "nonce")), (claim, wrong)]));
        Refused(ended, message);
    }

    [Theory]
    [InlineData("""{"error":"invalid_grant"}""", "answers 400, invalid_grant")]
    [InlineData("""{"access_token":"x"}""", "no ID token")]
    [InlineData("""{"id_token":"x"}""", "not one")]
    [InlineData("not json", "answers 200")]
    public async Task An_issuer_that_gives_no_token_is_told(string answer, string message)
    {
        _answer = answer;
        Refused(await LoginAsync(url => (Back(url), [])), message);
    }

    [Theory]
    [InlineData("""{"issuer":"{url}/","authorization_endpoint":"{url}/auth","token_endpoint":"{url}/token"}""", "another issuer")]
    [InlineData("""{"issuer":"{url}","authorization_endpoint":"http://evil.example.com/auth","token_endpoint":"{url}/token"}""", "no https")]
    [InlineData("""{"issuer":"{url}","authorization_endpoint":"file:///bin/sh","token_endpoint":"{url}/token"}""", "no https")]
    [InlineData("""{"issuer":"{url}","authorization_endpoint":"{url}/auth"}""", "no https")]
    [InlineData("[]", "answers 200")]
    public async Task Metadata_that_lead_elsewhere_are_refused_before_a_browser_is_opened(string metadata, string message)
    {
        _metadata = metadata.Replace("{url}", _issuer.Url, StringComparison.Ordinal);
        var ended = await _lockstep.RunAsync("login", "--no-browser");
        ended.ExitCode.ShouldBe(4, ended.Error);
        ended.Error.ShouldContain(message);
    }

    [Fact]
    public async Task Where_to_log_in_must_be_known()
    {
        (await _lockstep.RunAsync("login", "--client-id", "x")).Error.ShouldContain("say --issuer");
        (await _lockstep.RunAsync("login", "--issuer", "http://login.example.com", "--client-id", "x")).ExitCode.ShouldBe(2);
        (await _lockstep.RunAsync("login", "--issuer", "https://login.example.com")).Error.ShouldContain("say --client-id");
        (await _lockstep.RunAsync("login", "--addr", "http://config.example.com")).ExitCode.ShouldBe(2);
        await using var none = await FakeServer.StartAsync("""{"items":[],"next":null}""");
        (await _lockstep.RunAsync("login", "--addr", none.Address.ToString())).Error.ShouldContain("knows no issuer");
        var two = """{"issuer":"https://a.example.com","clientId":"c","scopes":["openid"]}""";
        await using var several = await FakeServer.StartAsync($$"""{"items":[{{two}},{{two.Replace("a.ex", "b.ex", StringComparison.Ordinal)}}],"next":null}""");
        (await _lockstep.RunAsync("login", "--addr", several.Address.ToString())).Error.ShouldContain("https://a.example.com, https://b.example.com");
        await using var lies = await FakeServer.StartAsync("""{"items":[{"issuer":"file:///etc","clientId":"c","scopes":["openid"]}],"next":null}""");
        (await _lockstep.RunAsync("login", "--addr", lies.Address.ToString())).ExitCode.ShouldBe(6);
    }

    [Fact]
    public async Task A_directory_does_not_decide_alone_where_the_token_goes()
    {
        _lockstep.Environment.Remove("LOCKSTEP_ADDR");
        var file = _lockstep.WriteFile("lockstep.yaml", $"address: {_server.Address}\n");
        foreach (var answer in new[] { "", "y\n" })
        {
            var asked = await _lockstep.RunWithInputAsync(answer, "login", "--no-browser");
            asked.ExitCode.ShouldBe(2, asked.Error);
            asked.Error.ShouldContain(file);
            asked.Error.ShouldContain(_server.Address.ToString().TrimEnd('/'));
            asked.Error.ShouldContain("--yes");
        }
        _server.Requests.ShouldBeEmpty("nobody was asked, and nothing was sent");
        // Who names the server means it.
        (await LoginAsync(Good, "--addr", _server.Address.ToString())).ExitCode.ShouldBe(0);
        _answer = null;
        var meant = await LoginAsync(Good, "--yes");
        meant.ExitCode.ShouldBe(0, meant.Error);

        (string, (string, object?)[]) Good(Uri url) => (Back(url), [("aud", "cli"), ("nonce", Query(url, "nonce"))]);
    }

    [Fact]
    public async Task A_login_that_ended_says_so_and_one_that_others_can_read_is_refused()
    {
        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(_server.Address.GetLeftPart(UriPartial.Path).TrimEnd('/'))));
        var path = _lockstep.WriteFile($"config/lockstep/logins/{name}", _issuer.Token(Now) + "\n");
        (await _lockstep.RunAsync("whoami")).ExitCode.ShouldBe(0);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        (await _lockstep.RunAsync("whoami")).Error.ShouldContain("chmod 600");
        _lockstep.WriteFile($"config/lockstep/logins/{name}", _issuer.Token(Now - TimeSpan.FromHours(1)));
        var count = _server.Requests.Count;
        var ended = await _lockstep.RunAsync("whoami");
        ended.ExitCode.ShouldBe(4);
        ended.Error.ShouldContain("run `lockstep login`");
        _lockstep.WriteFile($"config/lockstep/logins/{name}", "damaged");
        (await _lockstep.RunAsync("whoami")).Error.ShouldContain("there is no token");
        _server.Requests.Count.ShouldBe(count);
    }

    private void Refused(LockstepProcess.Ended ended, string message)
    {
        ended.ExitCode.ShouldBe(4, ended.Error);
        ended.Error.ShouldContain(message);
        ended.Error.ShouldNotContain("the-code");
        ended.Error.ShouldNotContain('\u001b');
        Directory.Exists(Path.Combine(_lockstep.Directory, "config")).ShouldBeFalse();
    }

    private Task<LockstepProcess.Ended> LoginAsync(Func<Uri, (string Back, (string, object?)[] Claims)> browser, params string[] arguments) =>
        LoginAsync(url => Task.FromResult(browser(url)), arguments);

    /// <summary>Runs a login; <paramref name="browser"/> says, of the address that is to be opened, where the issuer sends the browser and what the token holds.</summary>
    private async Task<LockstepProcess.Ended> LoginAsync(Func<Uri, Task<(string Back, (string, object?)[] Claims)>> browser, params string[] arguments)
    {
        using var process = _lockstep.Start(["login", "--no-browser", .. arguments]);
        process.StandardInput.Close();
        var said = new StringBuilder();
        Match match;
        while (!(match = AuthorizeUrl().Match(said.ToString())).Success)
        {
            var line = await process.StandardError.ReadLineAsync();
            if (line is null) return await LockstepProcess.EndAsync(process) with { Error = said.ToString() };
            said.AppendLine(line);
        }
        var url = new Uri(match.Value);
        Query(url, "response_type").ShouldBe("code");
        Query(url, "code_challenge_method").ShouldBe("S256");
        Query(url, "scope").ShouldBe("openid email");
        Query(url, "redirect_uri").ShouldMatch(@"^http://127\.0\.0\.1:\d+/callback$");
        var (back, claims) = await browser(url);
        _answer ??= JsonSerializer.Serialize(new { token_type = "Bearer", access_token = "x", id_token = _issuer.Token(Now, null, claims) });
        _challenge = Query(url, "code_challenge");
        await GetAsync(back);
        var ended = await LockstepProcess.EndAsync(process);
        return ended with { Error = said + ended.Error };
    }

    private string? _challenge;

    private string Back(Uri url) => $"{Query(url, "redirect_uri")}?code=the-code&state={Query(url, "state")}&iss={Uri.EscapeDataString(_issuer.Url)}";

    private static string Query(Uri url, string name) => HttpUtility.ParseQueryString(url.Query)[name]!;

    private static async Task<int> GetAsync(string url)
    {
        using var http = new HttpClient(new SocketsHttpHandler { UseProxy = false });
        using var answer = await http.GetAsync(new Uri(url));
        answer.Headers.CacheControl!.NoStore.ShouldBeTrue();
        return (int)answer.StatusCode;
    }

    private async Task<bool> AnswerAsync(HttpContext context)
    {
        if (context.Request.Path == "/.well-known/openid-configuration")
        {
            await context.Response.WriteAsync(_metadata ?? JsonSerializer.Serialize(new { issuer = _issuer.Url, authorization_endpoint = _issuer.Url + "/auth", token_endpoint = _issuer.Url + "/token" }));
            return true;
        }
        if (context.Request.Path != "/token") return false;
        using var reader = new StreamReader(context.Request.Body);
        _form = await reader.ReadToEndAsync();
        var verifier = HttpUtility.ParseQueryString(_form)["code_verifier"]!;
        context.Response.StatusCode = TestKey.Encode(SHA256.HashData(Encoding.ASCII.GetBytes(verifier))) != _challenge ? 403 : _answer!.Contains("\"error\"", StringComparison.Ordinal) ? 400 : 200;
        await context.Response.WriteAsync(_answer!);
        return true;
    }

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+/auth\?\S+")]
    private static partial Regex AuthorizeUrl();
}
