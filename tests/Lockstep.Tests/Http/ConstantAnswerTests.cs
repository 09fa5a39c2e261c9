using System.Text;
using Lockstep.Access;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary>What somebody learns who has no right to know: nothing, whatever is the case.</summary>
[Trait("speed", "medium")]
public sealed class ConstantAnswerTests : IAsyncLifetime
{
    private readonly TestRepository _repository = new();
    private readonly ManualTime _time = new(timers: true);
    private TestIssuer _issuer = null!;
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("shop.yml", "plain: 1\n"), ("other.yml", "password: ${secret:other/db}\n"));
        _issuer = await TestIssuer.StartAsync();
        _server = await TestServer.StartAsync(_repository, o => o with
        {
            Issuers = [_issuer.Options(new IssuerRoleOptions("sub", "somebody", "viewer"))],
            Roles = [.. PermissionNames.All.Select(p => new RoleOptions { Name = "only-" + p.Replace(':', '-'), Permissions = [p] })],
        }, _time);
        (await _server.PutAsync("other/db", "v")).Ok();
        (await _server.PutAsync("other/unused", "v")).Ok();
        (await _server.Admin.ConfigAsync("other/dev")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        await _issuer.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task Every_token_that_is_not_valid_gets_the_same_answer()
    {
        var tokens = await InvalidAsync();
        foreach (var (method, path, body) in new[]
        {
            ("GET", "/v1/whoami", null), ("GET", "/v1/config/shop/dev", null), ("GET", "/v1/config/none/dev", null), ("GET", "/v1/secrets/other/db", null), ("GET", "/v1/secrets/none", null),
            ("POST", "/v1/tokens", "{}"), ("DELETE", "/v1/tokens/none", null), ("GET", "/v1/watch", null), ("GET", "/spring/other/dev", (string?)null), ("GET", "/git/config.git/info/refs?service=git-upload-pack", null),
        })
        {
            var answers = new Dictionary<string, string>(StringComparer.Ordinal);
            foreach (var (kind, token) in tokens)
            {
                // So that the rate of failures is none of this test's business.
                _time.Advance(TimeSpan.FromSeconds(5));
                answers[kind] = Whole(await _server.Nobody.SendAsync(method, path, body, ("Authorization", "Bearer " + token)));
                if (!path.StartsWith("/v1", StringComparison.Ordinal))
                    answers[kind + " as Basic"] = Whole(await _server.Nobody.SendAsync(method, path, body, ("Authorization", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes("any:" + token)))));
            }
            answers.Values.Distinct().Count().ShouldBe(1, $"{method} {path}: {string.Join("\n\n", answers.Select(a => $"{a.Key}: {a.Value}"))}");
            answers.Values.First().ShouldStartWith("401");
        }
    }

    [Fact]
    public async Task So_does_every_token_of_a_hello()
    {
        var answers = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (_, token) in await InvalidAsync())
        {
            await using var watcher = await TestWatcher.OpenAsync(_server, null);
            await watcher.SendAsync(new { op = "hello", token });
            var frames = new StringBuilder();
            while (await watcher.NextOrCloseAsync() is { } frame) frames.Append(frame.GetRawText());
            answers.Add($"{(int?)watcher.CloseStatus} {watcher.Socket.CloseStatusDescription} {frames}");
        }
        answers.Count.ShouldBe(1, string.Join('\n', answers));
        answers.Single().ShouldStartWith("4401 ");
    }

    [Fact]
    public async Task Who_may_not_is_told_the_same_of_what_there_is_and_of_what_there_is_not()
    {
        await _server.AsAsync("admin", t => t with { Name = "victim" });
        (string Method, string There, string NotThere, string? Body)[] pairs =
        [
            ("GET", "/v1/config/other/dev", "/v1/config/nothing/dev", null), ("GET", "/v1/config/other/dev?label=main", "/v1/config/other/dev?label=absent", null),
            ("GET", "/v1/config/other/dev/history", "/v1/config/nothing/dev/history", null), ("GET", "/v1/config/other/dev/diff?from=1&to=2", "/v1/config/nothing/dev/diff?from=1&to=2", null),
            ("POST", "/v1/config/other/dev/rollback", "/v1/config/nothing/dev/rollback", """{"to":2}"""), ("DELETE", "/v1/config/other/dev/pin", "/v1/config/nothing/dev/pin", null),
            ("GET", "/v1/fleet/other/dev", "/v1/fleet/nothing/dev", null), ("GET", "/v1/files/other.yml", "/v1/files/nothing.yml", null), ("PUT", "/v1/files/other.yml", "/v1/files/nothing.yml", "x"),
            ("DELETE", "/v1/files/other.yml", "/v1/files/nothing.yml", null), ("GET", "/v1/secrets/other/db", "/v1/secrets/other/no", null), ("GET", "/v1/secrets/other/db?version=1", "/v1/secrets/other/db?version=9", null),
            ("PUT", "/v1/secrets/other/db", "/v1/secrets/other/no", """{"value":"x"}"""), ("DELETE", "/v1/secrets/other/db", "/v1/secrets/other/no", null),
            ("GET", "/v1/secret-versions/other/db", "/v1/secret-versions/other/no", null), ("POST", "/v1/secret-activations/other/db", "/v1/secret-activations/other/no", """{"version":1}"""),
            ("POST", "/v1/secret-restores/other/db", "/v1/secret-restores/other/no", null), ("POST", "/v1/tokens/victim/roll", "/v1/tokens/nobody/roll", null), ("DELETE", "/v1/tokens/victim", "/v1/tokens/nobody", null),
            ("POST", "/v1/tokens/derive", "/v1/tokens/derive", """{"role":"only-admin"}|{"role":"nothing"}"""), ("GET", "/v1/roles/writer", "/v1/roles/nothing", null), ("DELETE", "/v1/roles/writer", "/v1/roles/nothing", null), ("GET", "/v1/audit?token=victim", "/v1/audit?token=nobody", null),
            ("GET", "/v1/secrets?prefix=other/db", "/v1/secrets?prefix=other/no", null), ("GET", "/v1/secrets?filter=db", "/v1/secrets?filter=no", null),
            ("GET", "/spring/other/dev", "/spring/nothing/dev", null), ("GET", "/spring/other-dev.yml", "/spring/nothing-dev.yml", null), ("GET", "/spring/other/dev/main/other.yml", "/spring/other/dev/main/nothing.yml", null),
            ("GET", "/v1/can?permission=secret:read&secret=other/db", "/v1/can?permission=secret:read&secret=other/no", null),
            ("POST", "/v1/plan", "/v1/plan", """{"secrets":{"other/db":1}}|{"secrets":{"other/no":1}}"""), ("POST", "/v1/plan", "/v1/plan", """{"files":{"other.yml":"a: ${secret:other/unused}"}}|{"files":{"other.yml":"a: ${secret:other/no}"}}"""),
            ("POST", "/v1/secrets", "/v1/secrets", """{"id":"other/db","value":"x"}|{"id":"other/no","value":"x"}"""),
        ];
        var callers = new List<TestCaller>();
        foreach (var permission in PermissionNames.All.Where(p => p != "admin"))
            callers.Add(await _server.AsAsync("only-" + permission.Replace(':', '-'), t => t with { Services = ["shop"], Environments = ["dev"], Secrets = ["shop/**"] }));
        var told = new List<string>();
        foreach (var caller in callers)
        {
            foreach (var (method, there, notThere, body) in pairs)
            {
                var bodies = body?.Split('|') ?? [];
                var (one, two) = (await SendAsync(caller, method, there, bodies.FirstOrDefault()), await SendAsync(caller, method, notThere, bodies.LastOrDefault()));
                if (Plain(one, there, bodies.FirstOrDefault()) != Plain(two, notThere, bodies.LastOrDefault())) told.Add($"{caller.Name} {method} {there} {body}\n  {Plain(one, there, null)}\n  {Plain(two, notThere, null)}");
            }
        }
        told.ShouldBeEmpty();
    }

    private static Task<Answer> SendAsync(TestCaller caller, string method, string path, string? body) => caller.SendAsync(method, path, body, method == "PUT" && path.StartsWith("/v1/files", StringComparison.Ordinal) ? [("If-Match", "*")] : []);

    // Without the names that were asked for.
    private static string Plain(Answer answer, string path, string? body)
    {
        var text = Whole(answer);
        foreach (var name in new[] { "nothing", "nobody", "other/no", "other/db", "other/unused", "other", "victim", "writer", "only-admin", "label=main", "label=absent", "version=1", "version=9", "main" })
            if (path.Contains(name, StringComparison.Ordinal) || body?.Contains(name, StringComparison.Ordinal) == true) text = text.Replace(name, "NAME", StringComparison.Ordinal);
        return text;
    }

    private async Task<IReadOnlyList<(string Kind, string Token)>> InvalidAsync()
    {
        var tokens = new List<(string Kind, string Token)>
        {
            ("unknown", ServiceToken.Create().Export()), ("malformed", "lks_nothing"), ("of nobody", "x"), ("wrong secret", ServiceToken.Create(_server.Admin.TokenId).Export()),
            ("admin with a wrong checksum", _server.Admin.Token![..^1] + (_server.Admin.Token![^1] == 'a' ? 'b' : 'a')),
        };
        var (revoked, rolled, elsewhere, parent) = (await _server.AsAsync("admin"), await _server.AsAsync("admin"), await _server.AsAsync("admin", t => t with { Cidrs = ["10.0.0.0/8"] }), await _server.AsAsync("admin"));
        var expired = await _server.AsAsync("admin", t => t with { ExpiresIn = TimeSpan.FromSeconds(1) });
        var child = (await parent.PostAsync("/v1/tokens/derive", new { })).Ok().Json.GetProperty("token").GetString()!;
        (await _server.Admin.DeleteAsync("/v1/tokens/" + revoked.Name)).Ok();
        (await _server.Admin.PostAsync($"/v1/tokens/{rolled.Name}/roll")).Ok();
        (await _server.Admin.DeleteAsync("/v1/tokens/" + parent.Name)).Ok();
        _time.Advance(TimeSpan.FromSeconds(2));
        var now = _time.GetUtcNow();
        using var stranger = new TestKey("rsa-1", "RS256");
        tokens.AddRange(
        [
            ("revoked", revoked.Token!), ("rolled", rolled.Token!), ("expired", expired.Token!), ("from elsewhere", elsewhere.Token!), ("child of the dead", child),
            ("JWT of another key", _issuer.Token(now, stranger)), ("expired JWT", _issuer.Token(now - TimeSpan.FromHours(1))), ("JWT of another issuer", _issuer.Token(now, null, ("iss", "https://evil.example"))),
            ("JWT for others", _issuer.Token(now, null, ("aud", "others"))), ("JWT without a role", _issuer.Token(now, null, ("sub", "stranger"))), ("JWT that is none", "eyJ.eyJ.x"),
        ]);
        return tokens;
    }

    private static string Whole(Answer answer) =>
        $"{answer.Status}\n{string.Join('\n', answer.Headers.Where(h => h.Key is not ("Date" or "Content-Length")).OrderBy(h => h.Key, StringComparer.Ordinal).Select(h => $"{h.Key}: {string.Join(',', h.Value)}"))}\n{MaskTime(answer.Text)}";

    // Spring's own form of an error says when.
    private static string MaskTime(string text) => text.IndexOf("\"timestamp\":\"", StringComparison.Ordinal) is var at and >= 0 ? text.Remove(at, text.IndexOf('"', at + 13) - at) : text;
}
