using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

public sealed class HttpTests : IAsyncLifetime
{
    private readonly TestRepository _repository = new();
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        _server = await TestServer.StartAsync(_repository);
        (await _server.PutAsync("one", "v")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Theory]
    [InlineData("/v1/config/a/dev?lable=main", "lable")]
    [InlineData("/v1/config/a/dev?release=1&release=2", "release")]
    [InlineData("/v1/config/a/dev?release=0", "release")]
    [InlineData("/v1/config/a/dev?release=x", "release")]
    [InlineData("/v1/config/a/dev?release=99999999999999999999", "release")]
    [InlineData("/v1/config/a/dev?format=xml", "xml")]
    [InlineData("/v1/config/A/dev", "service")]
    [InlineData("/v1/config/a/DEV", "environment")]
    [InlineData("/v1/config/a/dev,", "environment")]
    [InlineData("/v1/config/a%2Fb/dev", "service")]
    [InlineData("/v1/config/a/dev/history?limit=0", "limit")]
    [InlineData("/v1/config/a/dev/history?limit=1001", "limit")]
    [InlineData("/v1/config/a/dev/diff?to=1", "from")]
    [InlineData("/v1/releases?before=-1", "before")]
    [InlineData("/v1/releases/x", "number")]
    [InlineData("/v1/releases/1?x=1", "x")]
    [InlineData("/v1/secrets?limit=x", "limit")]
    [InlineData("/v1/secrets?filter=(", "filter")]
    [InlineData("/v1/secrets?filter=(a)\\1", "filter")]
    [InlineData("/v1/secrets/one?version=0", "version")]
    [InlineData("/v1/secrets/a%20b", "id")]
    [InlineData("/v1/secret-versions/", "id")]
    [InlineData("/v1/secret-versions", "id")]
    [InlineData("/v1/audit?since=yesterday", "since")]
    [InlineData("/v1/audit?after=x", "after")]
    [InlineData("/v1/can?permission=fly", "permission")]
    [InlineData("/v1/can", "permission")]
    [InlineData("/v1/can?permission=admin&service=a", "environment")]
    [InlineData("/v1/tokens?x=", "x")]
    [InlineData("/v1/whoami?x=", "x")]
    public async Task A_wrong_query_or_path_is_refused_by_name(string path, string word)
    {
        var answer = await _server.Admin.GetAsync(path);
        answer.ShouldBe(400, "bad-request");
        answer.Detail.ShouldContain(word);
    }

    [Theory]
    [InlineData("POST", "/v1/secrets", """{"id":"x"}""", 400, "value")]
    [InlineData("POST", "/v1/secrets", """{"value":"x"}""", 400, "id")]
    [InlineData("POST", "/v1/secrets", """{"id":"x","value":"y","valu":1}""", 400, "valu")]
    [InlineData("POST", "/v1/secrets", """{"id":"x","id":"y","value":"y"}""", 400, "id")]
    [InlineData("POST", "/v1/secrets", """{"Id":"x","value":"y"}""", 400, "Id")]
    [InlineData("POST", "/v1/secrets", """{"id":null,"value":"y"}""", 400, "id")]
    [InlineData("POST", "/v1/secrets", """{"id":"x","value":null}""", 400, "value")]
    [InlineData("POST", "/v1/secrets", """{"id":"","value":"y"}""", 400, "id")]
    [InlineData("POST", "/v1/secrets", """{"id":"x","value":"y",}""", 400, "")]
    [InlineData("POST", "/v1/secrets", """{"id":"x","value":"y"} {}""", 400, "")]
    [InlineData("POST", "/v1/secrets", "null", 400, "")]
    [InlineData("POST", "/v1/secrets", "", 400, "")]
    [InlineData("POST", "/v1/secrets", "[]", 400, "")]
    [InlineData("POST", "/v1/secrets", """{"id":"one","value":"y"}""", 409, "one")]
    [InlineData("PUT", "/v1/secrets/", """{"value":"y"}""", 400, "id")]
    [InlineData("PUT", "/v1/secrets/one", """{"value":"y","cas":-1}""", 400, "cas")]
    [InlineData("PUT", "/v1/secrets/one", """{"value":"y","cas":1.5}""", 400, "cas")]
    [InlineData("PUT", "/v1/secrets/one", """{"value":"y","cas":"1"}""", 400, "cas")]
    [InlineData("PUT", "/v1/secrets/one", """{"value":"y","lease":"x"}""", 400, "lease")]
    [InlineData("PUT", "/v1/secrets/one", """{"value":"y","cas":7}""", 412, "7")]
    [InlineData("PUT", "/v1/secrets/one?force=yes", """{"value":"y"}""", 400, "force")]
    [InlineData("PUT", "/v1/secrets/two", """{"value":"y"}""", 404, "two")]
    [InlineData("POST", "/v1/secret-activations/one", """{"version":0}""", 404, "version")]
    [InlineData("POST", "/v1/secret-activations/one", """{"version":"1"}""", 400, "version")]
    [InlineData("POST", "/v1/config/a/dev/rollback", """{"to":"1"}""", 400, "to")]
    [InlineData("POST", "/v1/config/a/dev/rollback", "{}", 400, "to")]
    [InlineData("POST", "/v1/tokens", """{"name":"x","role":"nothing"}""", 400, "role")]
    [InlineData("POST", "/v1/tokens", """{"name":"x y","role":"viewer"}""", 400, "name")]
    [InlineData("POST", "/v1/tokens", """{"name":"x","role":"viewer","services":"a"}""", 400, "services")]
    [InlineData("POST", "/v1/tokens", """{"name":"x","role":"viewer","services":[null]}""", 400, "services")]
    [InlineData("POST", "/v1/tokens", """{"name":"x","role":"viewer","cidrs":["1.2.3.4/99"]}""", 400, "1.2.3.4/99")]
    [InlineData("POST", "/v1/tokens", """{"name":"x","role":"viewer","expiresIn":"soon"}""", 400, "expiresIn")]
    [InlineData("POST", "/v1/tokens/t1-admin/roll?grace=1y", null, 400, "grace")]
    [InlineData("DELETE", "/v1/secrets/one?purge=1", null, 400, "purge")]
    public async Task A_wrong_body_is_refused_by_its_field(string method, string path, string? body, int status, string word)
    {
        var answer = await _server.Admin.SendAsync(method, path, body);
        answer.ShouldBe(status);
        answer.Detail.ShouldContain(word);
        answer.Header("Cache-Control").ShouldBe("no-store");
    }

    [Fact]
    public async Task Bodies_and_headers_are_bounded()
    {
        (await _server.Admin.SendAsync("PUT", "/v1/secrets/one", "{\"value\":\"" + new string('x', 65_536) + "\"}")).Ok();
        (await _server.Admin.SendAsync("PUT", "/v1/secrets/one", "{\"value\":\"" + new string('x', 65_537) + "\"}")).ShouldBe(413, "too-large");
        (await _server.Admin.SendAsync("PUT", "/v1/secrets/one", "{\"value\":\"" + new string('x', 1_100_000) + "\"}")).ShouldBe(413, "too-large");
        (await _server.Admin.GetAsync("/v1/whoami", ("X-Long", new string('x', 20_000)))).Status.ShouldBe(431);
        (await _server.Admin.GetAsync("/v1/whoami", [.. Enumerable.Range(0, 70).Select(i => ($"X-{i}", "x"))])).Status.ShouldBe(431);
        (await _server.Admin.GetAsync("/v1/config/a/dev", ("Lockstep-Instance", new string('x', 129)))).ShouldBe(400).Detail.ShouldContain("Lockstep-Instance");
        (await _server.Admin.GetAsync("/v1/secrets/one", ("Lockstep-Seal-To", "x"))).ShouldBe(400);
        (await _server.Admin.SendAsync("POST", "/v1/secrets", null)).ShouldBe(400).Detail.ShouldContain("Content-Type");
        (await _server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    [Theory]
    [InlineData("GET", "/", 404)]
    [InlineData("GET", "/v1", 404)]
    [InlineData("GET", "/v1/nothing", 404)]
    [InlineData("GET", "/v1/config/a", 404)]
    [InlineData("GET", "/v1/config/a/dev/more", 404)]
    [InlineData("POST", "/v1/config/a/dev", 405)]
    [InlineData("DELETE", "/v1/releases", 405)]
    [InlineData("PATCH", "/v1/secrets/one", 405)]
    [InlineData("GET", "/v1/refresh", 405)]
    public async Task An_unknown_path_or_method_has_a_problem_body(string method, string path, int status)
    {
        var answer = await _server.Admin.SendAsync(method, path, null);
        answer.ShouldBe(status);
        if (status == 405) answer.Header("Allow").ShouldNotBeNull();
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("a/b/c", "a/b/c")]
    [InlineData("A.b_c+d=e-f", "A.b_c+d=e-f")]
    [InlineData("per%2Ccent/x", "per%252Ccent/x")]
    [InlineData("sp%20ace", "sp%2520ace")]
    [InlineData("uml%C3%A4ut", "uml%25C3%25A4ut")]
    [InlineData("slash%2Finside", "slash%252Finside")]
    [InlineData("at%40sign", "at%2540sign")]
    public async Task An_id_goes_there_and_back_through_its_location(string id, string path)
    {
        foreach (var root in new[] { "/v1/secrets", "/secrets" })
        {
            var made = (await _server.Admin.PostAsync(root, new { id, value = "v" })).Ok();
            made.Status.ShouldBe(201);
            made.Header("Location").ShouldBe("/v1/secrets/" + path);
            foreach (var read in new[] { made.Header("Location")!, "/secrets/" + path })
                (await _server.Admin.GetAsync(read)).Ok().Json.GetProperty("id").GetString().ShouldBe(id);
            (await _server.Admin.GetAsync("/v1/secret-versions/" + path)).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
            (await _server.Admin.GetAsync("/v1/secrets")).Ok().Json.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("id").GetString()).ShouldContain(id);
            (await _server.Admin.DeleteAsync(root + "/" + path + "?purge=true")).ShouldBe(204);
            (await _server.Admin.GetAsync("/v1/secrets/" + path)).ShouldBe(404);
            // Its numbers go on, and creating it again is possible.
            id += "x";
            path += "x";
        }
    }

    [Fact]
    public async Task Lists_of_secrets_come_in_pages_filtered_and_the_alias_answers_the_same()
    {
        var ids = Enumerable.Range(0, 25).Select(i => $"p/{i:00}").ToList();
        foreach (var id in ids) (await _server.PutAsync(id, "v")).Ok();
        foreach (var root in new[] { "/v1/secrets", "/secrets" })
        {
            var seen = new List<string>();
            for (string? after = ""; after is not null;)
            {
                var page = (await _server.Admin.GetAsync($"{root}?prefix=p/&limit=10{(after.Length == 0 ? "" : "&after=" + Uri.EscapeDataString(after))}")).Ok().Json;
                seen.AddRange(page.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("id").GetString()!));
                after = page.GetProperty("next").GetString();
            }
            seen.ShouldBe(ids);
        }
        foreach (var query in new[] { "", "?filter=^p/1", "?filter=5$&prefix=p", "?limit=3" })
            (await _server.Admin.GetAsync("/secrets" + query)).Ok().Text.ShouldBe((await _server.Admin.GetAsync("/v1/secrets" + query)).Ok().Text);
        (await _server.Admin.GetAsync("/v1/secrets?filter=^p/1")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(10);
        (await _server.Admin.GetAsync("/secrets/one")).Ok().Text.ShouldBe((await _server.Admin.GetAsync("/v1/secrets/one")).Ok().Text);
        var audit = new List<long>();
        for (string? after = ""; after is not null;)
        {
            var page = (await _server.Admin.GetAsync($"/v1/audit?action=secret.write&limit=7{(after.Length == 0 ? "" : "&after=" + Uri.EscapeDataString(after))}")).Ok().Json;
            audit.AddRange(page.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("seq").GetInt64()));
            after = page.GetProperty("next").GetString();
        }
        audit.Count.ShouldBe(26);
        audit.ShouldBe(audit.OrderDescending());
    }

    [Fact]
    public async Task Health_answers_without_a_token_on_both_listeners()
    {
        using var http = new HttpClient();
        foreach (var address in new[] { _server.Server.Address, _server.Server.ManagementAddress })
        {
            foreach (var path in new[] { "/livez", "/readyz", "/healthz", "/startupz" })
            {
                var answer = await http.GetAsync(address + path);
                ((int)answer.StatusCode).ShouldBe(200);
                answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/json");
                JsonElement.Parse(await answer.Content.ReadAsByteArrayAsync()).GetProperty("status").GetString().ShouldBeOneOf("live", "ready", "started");
            }
        }
        (await http.GetAsync(_server.Server.Address + "/metrics")).StatusCode.ShouldBe(System.Net.HttpStatusCode.NotFound);
    }
}
