using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Microsoft.Data.Sqlite;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

/// <summary>
/// Nothing in the interface can reveal a value without leaving an entry: every route is called by every role, and whatever is answered is searched for the values.
/// Where one is, the entry is in the database by then.
/// </summary>
[Trait("speed", "medium")]
public sealed class L2_Every_route_every_role : IAsyncLifetime
{
    private readonly Canary _db = new("Kq7Zx4Wm9Rt2Vb6NdbOne");
    private readonly Canary _key = new("Hs3Lp8Yf5Gc1Jd0QkeyTwo");
    private readonly TestRepository _repository = new();
    private readonly ECDiffieHellman _seal = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
    private readonly HashSet<string> _disclosing = new(StringComparer.Ordinal);
    private TestIssuer _issuer = null!;
    private TestServer _server = null!;
    private int _answers;

    public async Task InitializeAsync()
    {
        _repository.Commit(
            ("shop.yml", "password: ${secret:shop/db}\nurl: pg://${password}@db\nkey: ${secret:api/key#k}\nplain: 1\n"), ("other.yml", "a: 1\n"),
            ("shop-dev.txt", "conf ${password} ${secret:api/key}\n"), ("bad.yml", "a: ${secret:shop/db}\nb: ${secret:api/key#none}\n"));
        _issuer = await TestIssuer.StartAsync();
        _server = await TestServer.StartAsync(_repository, o => o with
        {
            Roles = [.. PermissionNames.All.Select(p => new RoleOptions { Name = "only-" + p.Replace(':', '-'), Permissions = [p] })],
            Issuers = [_issuer.Options(new IssuerRoleOptions("sub", "somebody", "reader"))],
        });
        (await _server.PutAsync("shop/db", _db.Mark)).Ok();
        (await _server.Admin.PutAsync("/v1/secrets/api/key", new { value = new { k = _key.Mark, n = 1 }, cas = 0 })).Ok();
        (await _server.Admin.ConfigAsync("shop/dev")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        await _issuer.DisposeAsync();
        _repository.Dispose();
        _seal.Dispose();
    }

    [Fact]
    public async Task Whatever_route_shows_a_value_has_left_an_entry_before()
    {
        var routes = await Routes.OfAsync(_server);
        foreach (var caller in await CallersAsync())
        {
            foreach (var (method, pattern) in routes)
                foreach (var request in Requests(method, pattern)) await CallAsync(caller, method, pattern, request);
            if (caller.Token is not null) await WatchAsync(caller);
        }
        // The net has no holes: these show values, and were seen to.
        _disclosing.Order().ShouldBe(["GET /secrets", "GET /spring", "GET /v1/config", "GET /v1/secrets", "GET /v1/watch"]);
        _answers.ShouldBeGreaterThan(1000);
        (await _server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task A_clone_holds_no_value()
    {
        foreach (var role in new[] { "admin", "reader", "writer" })
        {
            var caller = await _server.AsAsync(role);
            using var clone = GitClone.Of(_server, caller);
            if (GitClone.Execute(Path.GetTempPath(), [], "clone", "--quiet", clone.Url, clone.Path).Exit != 0) continue;
            _db.FindBelow(clone.Path).ShouldBeNull();
            clone.Run("log", "-p", "--all").ShouldSatisfyAllConditions(log => _db.FindIn(log).ShouldBeNull(), log => _key.FindIn(log).ShouldBeNull());
        }
    }

    private async Task<IReadOnlyList<TestCaller>> CallersAsync()
    {
        var callers = new List<TestCaller> { _server.Nobody, new(_server, "lks_nobody") { Name = "wrong" } };
        foreach (var role in new[] { "admin", "writer", "reader", "viewer" }.Concat(PermissionNames.All.Select(p => "only-" + p.Replace(':', '-')))) callers.Add(await _server.AsAsync(role));
        callers.Add(await _server.AsAsync("reader", t => t with { Services = ["shop"], Secrets = ["shop/*"] }));
        callers.Add(await _server.AsAsync("reader", t => t with { Environments = ["prod"] }));
        callers.Add(await _server.AsAsync("admin", t => t with { Secrets = ["api/**"] }));
        callers.Add(new TestCaller(_server, _issuer.Token(TimeProvider.System.GetUtcNow())) { Name = "jwt" });
        return callers;
    }

    private async Task CallAsync(TestCaller caller, string method, string pattern, Request request)
    {
        // Tokens and roles of this test stay.
        if (pattern is "/v1/kill" || (method == "DELETE" && (pattern.StartsWith("/v1/tokens", StringComparison.Ordinal) || pattern.Contains("secrets", StringComparison.Ordinal)))) return;
        var before = Newest();
        var (bytes, headers) = await SendAsync(caller, method, request);
        _answers++;
        var shown = new[] { (Canary: _db, Secret: "shop/db@"), (Canary: _key, Secret: "api/key@") }.Where(s => Shows(s.Canary, bytes) || s.Canary.FindIn(headers) is not null).ToList();
        if (shown.Count == 0) return;
        var route = $"{method} {pattern.Split("/{")[0]}";
        _disclosing.Add(route);
        // A connection of its own sees what is durable.
        var entries = Since(before);
        foreach (var (_, secret) in shown)
        {
            entries.Any(e => e.GetProperty("decision").GetString() == "allowed" && e.GetProperty("route").GetString() == route && IsOf(e, caller)
                && e.GetProperty("secrets").EnumerateArray().Any(s => s.GetString()!.StartsWith(secret, StringComparison.Ordinal)))
                .ShouldBeTrue($"{caller.Name} {method} {request.Path} showed {secret} without an entry; there are {string.Join('\n', entries)}");
        }
        caller.Token.ShouldNotBeNull();
    }

    private async Task<(byte[] Body, string Headers)> SendAsync(TestCaller caller, string method, Request request)
    {
        if (request.Events)
        {
            using var raw = await RawConnection.OpenAsync(_server.Server.Address);
            await raw.TrySendAsync($"{method} {request.Path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n{(caller.Token is null ? "" : $"Authorization: Bearer {caller.Token}\r\n")}\r\n");
            return (Encoding.Latin1.GetBytes(await raw.ReadUntilAsync(text => text.Contains("event: snapshot", StringComparison.Ordinal) && text.EndsWith("\n\n\r\n", StringComparison.Ordinal)
                || text.Contains("problem+json", StringComparison.Ordinal) && text.Contains('}'))), "");
        }
        var answer = await caller.SendAsync(method, request.Path, request.Body, request.Sealed ? [("Lockstep-Seal-To", Jwe.ExportPublicKey(_seal))] : []);
        return (answer.Body, string.Join('\n', answer.Headers.Select(h => $"{h.Key}: {string.Join(' ', h.Value)}")));
    }

    private bool Shows(Canary canary, byte[] bytes)
    {
        if (canary.FindIn(bytes) is not null) return true;
        // What is sealed to this test is shown to it.
        return Encoding.UTF8.GetString(bytes).Split('"').Where(t => t.StartsWith("eyJ", StringComparison.Ordinal) && t.Count(c => c == '.') == 4).Any(t => canary.FindIn(Jwe.Open(_seal, t)) is not null);
    }

    private async Task WatchAsync(TestCaller caller)
    {
        var before = Newest();
        TestWatcher watcher;
        try
        {
            watcher = await TestWatcher.ConnectAsync(_server, caller.Token);
        }
        catch (System.Net.WebSockets.WebSocketException)
        {
            return;
        }
        await using (watcher)
        {
            foreach (var (id, document) in new[] { (1, "shop/dev"), (2, "other/dev"), (3, "bad/dev"), (4, "shop/prod") })
            {
                var frame = Encoding.UTF8.GetBytes((await watcher.SubscribeAsync(id, document)).GetRawText());
                foreach (var (canary, secret) in new[] { (_db, "shop/db@"), (_key, "api/key@") })
                    if (canary.FindIn(frame) is not null)
                        Since(before).Any(e => e.GetProperty("route").GetString() == "GET /v1/watch" && IsOf(e, caller) && e.GetProperty("secrets").GetRawText().Contains(secret, StringComparison.Ordinal)).ShouldBeTrue($"{caller.Name} {document}");
            }
        }
    }

    private static bool IsOf(JsonElement entry, TestCaller caller) =>
        caller.Name == "jwt" ? entry.GetProperty("tokenId").GetString()!.StartsWith("jwt_", StringComparison.Ordinal) : entry.GetProperty("tokenId").GetString() == (caller.TokenId.Length > 0 ? caller.TokenId : "none");

    private long Newest() => (long)Query("SELECT COALESCE(MAX(seq), 0) FROM audit")[0];

    private List<JsonElement> Since(long seq) => [.. Query($"SELECT entry FROM audit WHERE seq > {seq}").Select(e => JsonElement.Parse((string)e)).Where(e => e.TryGetProperty("secrets", out _) && e.TryGetProperty("tokenId", out _))];

    private List<object> Query(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Path.Combine(_server.Options.Data, "lockstep.db")};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        using var rows = command.ExecuteReader();
        var values = new List<object>();
        while (rows.Read()) values.Add(rows.GetValue(0));
        return values;
    }

    private static IEnumerable<Request> Requests(string method, string pattern)
    {
        yield return new(Routes.Fill(pattern), method is "PUT" or "POST" ? "{}" : null);
        string[] paths = (method, pattern) switch
        {
            ("GET", "/v1/config/{service}/{env}") =>
            [
                "/v1/config/shop/dev", "/v1/config/shop/dev?release=3", "/v1/config/shop/dev?label=main", "/v1/config/shop/prod", "/v1/config/shop/dev,prod", "/v1/config/bad/dev", "/v1/config/other/dev",
                .. new[] { "nested", "dotenv", "yaml", "properties" }.Select(f => "/v1/config/shop/dev?format=" + f),
            ],
            ("GET", "/v1/config/{service}/{env}/history") => ["/v1/config/shop/dev/history"],
            ("GET", "/v1/config/{service}/{env}/diff") => ["/v1/config/shop/dev/diff?from=1&to=3", "/v1/config/shop/dev/diff?from=3"],
            ("GET", "/v1/files/{**path}") => ["/v1/files/shop.yml", "/v1/files/shop-dev.txt"],
            ("GET", "/v1/fleet/{service}/{env}") => ["/v1/fleet/shop/dev"],
            ("GET", "/v1/releases/{n}") => ["/v1/releases/2", "/v1/releases/3"],
            ("GET", "/v1/secrets/{**id}" or "/secrets/{**id}" or "/v1/secret-versions/{**id}") =>
                [.. new[] { "shop/db", "api/key", "shop/db?version=1", "api/key?version=1" }.Select(i => pattern.Replace("{**id}", i, StringComparison.Ordinal))],
            ("GET", "/spring/{**path}") =>
            [
                "/spring/shop/dev", "/spring/shop/dev/main", "/spring/shop-dev.yml", "/spring/shop-dev.json", "/spring/shop-dev.properties", "/spring/shop-dev.yml?resolvePlaceholders=false",
                "/spring/shop/dev/main/shop-dev.txt", "/spring/shop/dev/shop-dev.txt?useDefaultLabel", "/spring/shop/dev/main/shop.yml", "/spring/key",
            ],
            ("GET", "/v1/can") => ["/v1/can?permission=secret:reveal&secret=shop/db"],
            ("GET", "/v1/audit") => ["/v1/audit?limit=1000"],
            ("GET", "/v1/audit/exposure") => ["/v1/audit/exposure?token=t1-admin"],
            _ => [],
        };
        foreach (var path in paths)
        {
            yield return new(path, null);
            if (pattern.Contains("secrets", StringComparison.Ordinal)) yield return new(path, null, Sealed: true);
        }
        if ((method, pattern) == ("GET", "/v1/watch")) yield return new("/v1/watch?service=shop&env=dev", null, Events: true);
        string[] bodies = (method, pattern) switch
        {
            ("POST", "/v1/plan") => ["""{"files":{"shop.yml":"x: ${secret:shop/db}-${secret:api/key#none}\n"}}""", """{"secrets":{"shop/db":1}}""", """{"files":{"shop.yml":null}}"""],
            ("POST", "/v1/secrets" or "/secrets") => ["""{"id":"shop/db","value":"x"}"""],
            ("POST", "/v1/config/{service}/{env}/rollback") => ["""{"to":3}"""],
            _ => [],
        };
        foreach (var body in bodies) yield return new(pattern.Replace("{service}", "shop", StringComparison.Ordinal).Replace("{env}", "dev", StringComparison.Ordinal), body);
    }

    private sealed record Request(string Path, string? Body, bool Sealed = false, bool Events = false);
}
