using System.Security.Cryptography;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class L1_One_gate
{
    private static readonly string[] s_open = ["/livez", "/readyz", "/healthz", "/startupz", "/openapi/v1.json", "/v1/hooks/git", "/v1/login"];

    // What each call needs; null: any token. {role} is the name of the caller's role.
    private static readonly (string Method, string Path, string Route, object? Body, string? Needs)[] s_calls =
    [
        ("GET", "/v1/config/shop/dev", "/v1/config/{service}/{env}", null, "config:read"),
        ("GET", "/v1/watch", "/v1/watch", null, "config:read"),
        ("GET", "/v1/fleet/shop/dev", "/v1/fleet/{service}/{env}", null, "config:read"),
        ("GET", "/v1/config/shop/dev/history", "/v1/config/{service}/{env}/history", null, "config:read"),
        ("GET", "/v1/config/shop/dev/diff?from=3&to=3", "/v1/config/{service}/{env}/diff", null, "config:read"),
        ("POST", "/v1/config/shop/dev/rollback", "/v1/config/{service}/{env}/rollback", new { to = 3 }, "config:write"),
        ("DELETE", "/v1/config/shop/dev/pin", "/v1/config/{service}/{env}/pin", null, "config:write"),
        ("GET", "/v1/releases", "/v1/releases", null, "config:read"),
        ("GET", "/v1/releases/1", "/v1/releases/{n}", null, "config:read"),
        ("GET", "/v1/files/other.yml", "/v1/files/{**path}", null, "config:read"),
        ("POST", "/v1/plan", "/v1/plan", new { }, "config:read"),
        ("POST", "/v1/refresh", "/v1/refresh", null, "config:write"),
        ("POST", "/v1/secrets", "/v1/secrets", new { id = "made/{role}", value = "x" }, "secret:write"),
        ("GET", "/v1/secrets", "/v1/secrets", null, "secret:read"),
        ("GET", "/v1/secrets/shop/db", "/v1/secrets/{**id}", null, "secret:read"),
        ("PUT", "/v1/secrets/shop/db", "/v1/secrets/{**id}", new { value = "x" }, "secret:write"),
        ("DELETE", "/v1/secrets/made/{role}", "/v1/secrets/{**id}", null, "secret:write"),
        ("POST", "/secrets", "/secrets", new { id = "also/{role}", value = "x" }, "secret:write"),
        ("GET", "/secrets", "/secrets", null, "secret:read"),
        ("GET", "/secrets/shop/db", "/secrets/{**id}", null, "secret:read"),
        ("PUT", "/secrets/shop/db", "/secrets/{**id}", new { value = "x" }, "secret:write"),
        ("DELETE", "/secrets/also/{role}", "/secrets/{**id}", null, "secret:write"),
        ("GET", "/v1/secret-versions/shop/db", "/v1/secret-versions/{**id}", null, "secret:read"),
        ("POST", "/v1/secret-activations/shop/db", "/v1/secret-activations/{**id}", new { version = 1 }, "secret:write"),
        ("POST", "/v1/secret-restores/made/{role}", "/v1/secret-restores/{**id}", null, "secret:write"),
        ("POST", "/v1/tokens", "/v1/tokens", new { name = "new-{role}", role = "{role}" }, "token:write"),
        ("GET", "/v1/tokens", "/v1/tokens", null, "token:write"),
        ("POST", "/v1/tokens/derive", "/v1/tokens/derive", new { name = "derived-{role}" }, null),
        ("POST", "/v1/tokens/renew", "/v1/tokens/renew", new { }, null),
        ("POST", "/v1/tokens/victim-{role}/roll", "/v1/tokens/{name}/roll", null, "token:write"),
        ("DELETE", "/v1/tokens/victim-{role}", "/v1/tokens/{name}", null, "token:write"),
        ("GET", "/v1/roles", "/v1/roles", null, "admin"),
        ("PUT", "/v1/roles/made-{role}", "/v1/roles/{name}", new { permissions = new[] { "config:read" } }, "admin"),
        ("GET", "/v1/roles/made-{role}", "/v1/roles/{name}", null, "admin"),
        ("DELETE", "/v1/roles/made-{role}", "/v1/roles/{name}", null, "admin"),
        ("POST", "/v1/kill", "/v1/kill", new { all = true, dryRun = true }, "admin"),
        ("GET", "/v1/whoami", "/v1/whoami", null, null),
        ("GET", "/v1/can?permission=admin", "/v1/can", null, null),
        ("POST", "/v1/rekey", "/v1/rekey", null, "admin"),
        ("GET", "/v1/backup", "/v1/backup", null, "admin"),
        ("GET", "/v1/audit", "/v1/audit", null, "audit:read"),
        ("GET", "/v1/audit/verify", "/v1/audit/verify", null, "audit:read"),
        ("GET", "/v1/audit/exposure?token=nobody", "/v1/audit/exposure", null, "audit:read"),
        ("GET", "/v1/audit/export", "/v1/audit/export", null, "audit:read"),
        ("GET", "/spring/other/dev", "/spring/{**path}", null, "config:read"),
        ("GET", "/spring/other-dev.yml", "/spring/{**path}", null, "config:read"),
        ("GET", "/spring/other/dev/main/other.yml", "/spring/{**path}", null, "config:read"),
        ("GET", "/spring/encrypt/status", "/spring/{**path}", null, null),
        ("GET", "/spring/key", "/spring/{**path}", null, null),
        ("POST", "/spring/encrypt", "/spring/{**path}", new { }, "config:write"),
        ("POST", "/spring/decrypt/other/dev", "/spring/{**path}", new { }, "config:write"),
        ("POST", "/spring/monitor", "/spring/{**path}", new { path = "other.yml" }, "config:write"),
    ];

    // These want more than a body; who may do what with them is told where they are tested.
    private static readonly (string Method, string Path, string Route, object? Body, string? Needs)[] s_others =
    [
        ("HEAD", "/spring/other/dev", "/spring/{**path}", null, "config:read"),
        ("PUT", "/v1/files/other.yml", "/v1/files/{**path}", new { }, "config:write"),
        ("DELETE", "/v1/files/other.yml", "/v1/files/{**path}", null, "config:write"),
        ("GET", "/git/config.git/info/refs", "/git/config.git/info/refs", null, "config:read"),
        ("POST", "/git/config.git/git-upload-pack", "/git/config.git/git-upload-pack", new { }, "config:read"),
        ("POST", "/git/config.git/git-receive-pack", "/git/config.git/git-receive-pack", new { }, "config:write"),
    ];

    private static readonly (string Method, string Path, object? Body)[] s_missing =
    [
        ("GET", "/v1/config/nothing/dev", null),
        ("GET", "/v1/config/nothing/dev?release=99", null),
        ("GET", "/v1/config/nothing/dev/history", null),
        ("GET", "/v1/config/nothing/dev/diff?from=98&to=99", null),
        ("POST", "/v1/config/nothing/dev/rollback", new { to = 99 }),
        ("DELETE", "/v1/config/nothing/dev/pin", null),
        ("GET", "/v1/releases/99", null),
        ("GET", "/v1/secrets/no/such", null),
        ("GET", "/v1/secrets/no/such?version=9", null),
        ("PUT", "/v1/secrets/no/such", new { value = "x" }),
        ("DELETE", "/v1/secrets/no/such", null),
        ("GET", "/v1/secret-versions/no/such", null),
        ("POST", "/v1/secret-activations/no/such", new { version = 1 }),
        ("POST", "/v1/secret-restores/no/such", null),
        ("POST", "/v1/tokens/nobody/roll", null),
        ("DELETE", "/v1/tokens/nobody", null),
        ("GET", "/v1/roles/nothing", null),
        ("DELETE", "/v1/roles/nothing", null),
    ];

    [Fact]
    public async Task Every_route_needs_a_token_and_every_route_is_in_the_table()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var routes = await Routes.OfAsync(server);
        routes.Where(r => !s_open.Contains(r.Pattern)).Order().ShouldBe(s_calls.Concat(s_others).Select(c => (c.Method, c.Route)).Distinct().Order());
        foreach (var (method, path, _, body, _) in s_calls.Concat(s_others))
        {
            var answer = await server.Nobody.SendAsync(method, path, body);
            answer.Status.ShouldBe(401);
            // Another system's clients are answered in its own form.
            var theirs = !path.StartsWith("/v1/", StringComparison.Ordinal) && !path.StartsWith("/secrets", StringComparison.Ordinal);
            if (!theirs) answer.ShouldBe(401, "unauthenticated");
            if (method != "HEAD" && path.StartsWith("/spring/", StringComparison.Ordinal)) answer.Json.GetProperty("error").GetString().ShouldBe("Unauthorized");
            answer.Header("WWW-Authenticate").ShouldStartWith(theirs ? "Basic realm=\"lockstep\"" : "Bearer");
            var wrong = server.Admin.Token![..^1] + (server.Admin.Token[^1] == 'a' ? 'b' : 'a');
            (await server.Nobody.SendAsync(method, path, body, ("Authorization", "Bearer " + wrong))).Status.ShouldBe(401);
        }
        // A scheme is needed.
        (await server.Nobody.SendAsync("GET", "/v1/whoami", null, ("Authorization", server.Admin.Token!))).Status.ShouldBe(401);
    }

    [Fact]
    public async Task Each_permission_and_role_opens_its_calls_and_no_others_and_each_denial_is_recorded()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var roles = PermissionNames.All.ToDictionary(p => "only-" + p.Replace(':', '-'), p => p == "admin" ? PermissionNames.All : (IReadOnlyList<string>)[p], StringComparer.Ordinal);
        roles["admin"] = PermissionNames.All;
        roles["writer"] = ["config:read", "config:write", "secret:read", "secret:write"];
        roles["reader"] = ["config:read", "secret:reveal"];
        roles["viewer"] = ["config:read"];
        foreach (var (role, permissions) in roles)
        {
            var caller = await server.AsAsync(role);
            await server.AsAsync(role, t => t with { Name = "victim-" + role });
            foreach (var (method, path, _, body, needs) in s_calls)
            {
                var denials = await DenialsAsync(server);
                var text = body is null ? null : System.Text.Json.JsonSerializer.Serialize(body).Replace("{role}", role, StringComparison.Ordinal);
                var answer = await caller.SendAsync(method, path.Replace("{role}", role, StringComparison.Ordinal), text);
                var allowed = needs is null || permissions.Contains(needs);
                (answer.Status != 403).ShouldBe(allowed, $"{role} {method} {path}: {answer.Text}");
                // 400: to watch takes more than a plain GET.
                answer.Status.ShouldBeOneOf(allowed ? [200, 201, 204, 404, 409, path == "/v1/watch" ? 400 : 200] : [403]);
                // It stands in the record when the answer arrives.
                (await DenialsAsync(server)).ShouldBe(denials + (allowed ? 0 : 1), $"{role} {method} {path}");
            }
        }
        (await server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task What_does_not_exist_is_denied_all_the_same()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var caller = await server.AsAsync("only-audit-read");
        foreach (var (method, path, body) in s_missing)
        {
            (await caller.SendAsync(method, path, body)).ShouldBe(403, "forbidden");
            (await server.Admin.SendAsync(method, path, body)).ShouldBe(404, "not-found");
        }
    }

    [Fact]
    public async Task Of_several_environments_each_is_needed()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var caller = await server.AsAsync("reader", t => t with { Services = ["shop"], Environments = ["dev", "test"] });
        foreach (var (document, status) in new[] { ("shop/dev", 200), ("shop/test", 200), ("shop/dev,test", 200), ("shop/prod", 403), ("shop/dev,prod", 403), ("shop/prod,dev", 403), ("other/dev", 403) })
        {
            (await caller.ConfigAsync(document)).ShouldBe(status);
            (await caller.ConfigAsync(document, "?release=3")).ShouldBe(status);
            (await caller.GetAsync($"/v1/config/{document}/history")).ShouldBe(status);
        }
        (await caller.GetAsync("/v1/releases/1")).ShouldBe(403);
    }

    [Fact]
    public async Task Keys_of_secrets_that_may_not_be_seen_are_withheld_each_by_its_own_glob()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var viewer = (await (await server.AsAsync("viewer")).ConfigAsync("shop/dev")).Ok();
        viewer.Withheld.ShouldBe(["both", "password", "token", "url"]);
        viewer.Secrets.ShouldBeEmpty();
        viewer.Text.ShouldNotContain("db-value");
        viewer.Text.ShouldNotContain("api-value");
        viewer.Value("plain").ShouldBe("1");

        var half = (await (await server.AsAsync("reader", t => t with { Secrets = ["shop/*"] })).ConfigAsync("shop/dev")).Ok();
        half.Withheld.ShouldBe(["both", "token"]);
        half.Secrets.ShouldBe(["password", "url"]);
        half.Value("url").ShouldBe("pg://db-value@db");
        half.Text.ShouldNotContain("api-value");

        var whole = (await (await server.AsAsync("reader")).ConfigAsync("shop/dev")).Ok();
        whole.Withheld.ShouldBeEmpty();
        whole.Secrets.ShouldBe(["both", "password", "token", "url"]);
        whole.Value("both").ShouldBe("db-value+api-value");
        new[] { viewer.ETag, half.ETag, whole.ETag }.Distinct().Count().ShouldBe(3);
        foreach (var format in new[] { "nested", "dotenv", "yaml", "properties" })
            (await (await server.AsAsync("viewer")).ConfigAsync("shop/dev", "?format=" + format)).Ok().Text.ShouldNotContain("value");
    }

    [Fact]
    public async Task A_secret_is_sealed_only_for_who_may_reveal_it()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var seal = ("Lockstep-Seal-To", Jwe.ExportPublicKey(key));
        var may = await server.Admin.GetAsync("/v1/secrets/shop/db", seal);
        System.Text.Encoding.UTF8.GetString(Jwe.Open(key, may.Ok().Json.GetProperty("value").GetString()!)).ShouldContain("db-value");
        var writer = await server.AsAsync("writer");
        (await writer.GetAsync("/v1/secrets/shop/db", seal)).Ok().Json.GetProperty("value").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Null);
        (await server.Admin.GetAsync("/v1/secrets/shop/db")).Ok().Json.GetProperty("value").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Null);
        (await (await server.AsAsync("reader")).GetAsync("/v1/secrets/shop/db", seal)).ShouldBe(403);
        var narrow = await server.AsAsync("admin", t => t with { Secrets = ["api/*"] });
        (await narrow.GetAsync("/v1/secrets/shop/db", seal)).ShouldBe(403);
        (await narrow.GetAsync("/v1/secrets")).Ok().Json.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("id").GetString()).ShouldBe(["api/key"]);
    }

    private static async Task<long> DenialsAsync(TestServer server) =>
        long.Parse((await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE entry LIKE '%\"denied\"%'"))[0], System.Globalization.CultureInfo.InvariantCulture);

    private static TestRepository Repository()
    {
        var repository = new TestRepository();
        repository.Commit(
            ("shop.yml", "plain: 1\npassword: ${secret:shop/db}\nurl: pg://${password}@db\ntoken: ${secret:api/key}\nboth: ${password}+${token}\n"),
            ("other.yml", "a: 1\n"));
        return repository;
    }

    private static async Task<TestServer> ServerAsync(TestRepository repository)
    {
        var server = await TestServer.StartAsync(repository, o => o with
        {
            Roles = [.. PermissionNames.All.Select(p => new RoleOptions { Name = "only-" + p.Replace(':', '-'), Permissions = [p] })],
        });
        (await server.PutAsync("shop/db", "db-value")).Ok();
        (await server.PutAsync("api/key", "api-value")).Ok();
        return server;
    }
}
