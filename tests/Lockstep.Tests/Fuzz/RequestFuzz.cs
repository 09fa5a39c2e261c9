using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Fuzz;

/// <summary>Bodies, paths, queries and headers of requests: whatever somebody with every permission sends, the server has no unexpected failure.</summary>
[Trait("speed", "medium")]
public sealed class RequestFuzz : IAsyncLifetime
{
    private readonly TestRepository _repository = new();
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        _server = await TestServer.StartAsync(_repository, o => o with { Operation = new OperationOptions { RequestsPerSecond = 0 } });
        (await _server.PutAsync("one", "v")).Ok();
        (await _server.Admin.ConfigAsync("a/dev")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task No_body_ends_in_an_unexpected_failure()
    {
        // A token of each kind of call is made on the way: those it may not end are not called.
        var routes = (await Routes.OfAsync(_server)).Where(r => r.Method is "POST" or "PUT" && r.Pattern is not ("/v1/kill" or "/v1/refresh" or "/spring/{**path}") && !r.Pattern.StartsWith("/git", StringComparison.Ordinal)).ToArray();
        var fuzzer = new Fuzzer("bodies",
        [
            """{"id":"two","value":{"a":"b"}}""", """{"value":"x","cas":1}""", """{"version":1}""", """{"to":2}""", """{"files":{"a.yml":"x: 2\n","b.yml":null},"secrets":{"one":1}}""",
            """{"name":"n","role":"reader","services":["a"],"environments":["*"],"secrets":["one/**"],"cidrs":["10.0.0.0/8","::1"],"expiresIn":"1h"}""", """{"permissions":["config:read"],"services":["*"],"paths":["**"]}""",
        ], "\"", "\\ud800", "\\u0000", "{", "}", "[", "]", "null", "-1", "1e999", "99999999999999999999", "\"value\":", "\"id\":1,", "/../", "${secret:one}", "\ufeff", "**", "0.0.0.0/0", "9999999d");
        await fuzzer.RunAsync(async (byte[] body) =>
        {
            var (method, pattern) = routes[fuzzer.Random.Next(routes.Length)];
            using var content = new ByteArrayContent(body);
            content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
            var request = new HttpRequestMessage(new HttpMethod(method), _server.Server.Address + Routes.Fill(pattern)) { Content = content };
            request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + _server.Admin.Token);
            var answer = await _server.SendAsync(request);
            answer.Status.ShouldNotBe(500, $"{method} {pattern}: {answer.Text}");
            return true;
        });
    }

    [Fact]
    public async Task No_path_query_or_header_ends_in_an_unexpected_failure()
    {
        string[] headers = ["Lockstep-Seal-To", "If-None-Match", "If-Match", "Lockstep-Instance", "traceparent", "X-Forwarded-For", "Accept", "Last-Event-ID"];
        var fuzzer = new Fuzzer("targets",
        [
            "/v1/config/a/dev?release=2&format=json", "/v1/config/a/dev/history?before=3&limit=5", "/v1/config/a/dev/diff?from=1&to=2", "/v1/secrets?filter=o.*&prefix=o&limit=3&after=a", "/v1/secrets/one?version=1",
            "/v1/releases?before=9", "/v1/audit?since=2030-01-02T03:04:05Z&token=x&action=y&limit=1&after=1.2.n", "/v1/files/a.yml?label=main", "/v1/fleet/a/dev", "/v1/can?permission=secret:read&secret=one", "/spring/a/dev", "/spring/a-dev.yml",
            "/v1/tokens", "/v1/secret-versions/one", "/spring/a/dev/main/a.yml",
        ], "/", "//", "..", "%", "%2F", "%00", "%ff", "?", "&", "=", "#", "\0", " ", "\u00e9", "99999999999999999999", "-1", "(_)", "{application}", ",", "*", "eyJrdHkiOiJFQyJ9", "W/\"x\"");
        await fuzzer.RunAsync(async (string target) =>
        {
            var parts = target.Split('?', 2);
            var path = string.Join('/', parts[0].Split('/').Select(p => Uri.EscapeDataString(p).Replace("%25", "%", StringComparison.Ordinal)));
            var query = parts.Length == 1 ? "" : "?" + string.Join('&', parts[1].Split('&').Select(p => string.Join('=', p.Split('=').Select(Uri.EscapeDataString))));
            using var raw = await RawConnection.OpenAsync(_server.Server.Address);
            var extra = fuzzer.Random.Next(3) == 0 ? $"{headers[fuzzer.Random.Next(headers.Length)]}: {new string([.. fuzzer.Mutate(target).Where(c => c is >= ' ' and < (char)127)])}\r\n" : "";
            await raw.TrySendAsync($"GET {(path.StartsWith('/') ? "" : "/")}{path}{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {_server.Admin.Token}\r\n{extra}Connection: close\r\n\r\n");
            var answer = await raw.ReadToEndAsync();
            answer.ShouldStartWith("HTTP/1.1 ");
            answer.ShouldNotStartWith("HTTP/1.1 500");
            return true;
        });
    }
}
