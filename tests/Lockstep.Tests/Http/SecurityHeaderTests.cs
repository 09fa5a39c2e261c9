using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

public sealed class SecurityHeaderTests
{
    [Fact]
    public async Task Every_answer_of_every_route_has_them_and_none_may_be_kept()
    {
        using var repository = TestRepository.With(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var statuses = new HashSet<int>();
        foreach (var (method, pattern) in await Routes.OfAsync(server))
        {
            var path = Routes.Fill(pattern);
            foreach (var caller in new[] { server.Nobody, server.Admin, await server.AsAsync("viewer") })
                statuses.Add(Check(await caller.SendAsync(method, path, method is "PUT" or "POST" ? "{" : null), $"{method} {path}"));
            statuses.Add(Check(await server.Admin.SendAsync("PATCH", path, null), path));
        }
        foreach (var path in new[] { "/", "/none", "/v1/none", "/v1/config/a/dev", "/v1/config/a/dev?release=99", "/spring/a/dev", "/v1/files/a.yml" })
            statuses.Add(Check(await server.Admin.GetAsync(path), path));
        statuses.Add(Check(await server.Admin.ConfigAsync("a/dev", etag: (await server.Admin.ConfigAsync("a/dev")).ETag), "not modified"));
        statuses.Add(Check(await server.Admin.PutAsync("/v1/secrets/x", new { value = new string('x', 1_100_000) }), "too large"));
        statuses.IsSupersetOf([200, 304, 400, 401, 403, 404, 405, 413]).ShouldBeTrue(string.Join(' ', statuses.Order()));
    }

    [Fact]
    public async Task So_have_those_of_the_management_listener()
    {
        using var repository = TestRepository.With(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var path in new[] { "/livez", "/startupz", "/readyz", "/healthz", "/metrics", "/none" })
        {
            foreach (var method in new[] { "GET", "PUT" })
                Check(await server.SendAsync(new HttpRequestMessage(new HttpMethod(method), server.Server.ManagementAddress + path)), $"{method} {path}");
        }
    }

    [Fact]
    public async Task Who_came_over_https_is_told_to_do_so_again_also_behind_a_proxy()
    {
        using var repository = TestRepository.With(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository, o => o with { TrustedProxies = [System.Net.IPNetwork.Parse("127.0.0.0/8")] });
        (await server.Nobody.GetAsync("/livez")).Header("Strict-Transport-Security").ShouldBeNull();
        foreach (var path in new[] { "/livez", "/none" })
            (await server.Nobody.GetAsync(path, ("X-Forwarded-Proto", "https"))).Header("Strict-Transport-Security").ShouldBe("max-age=31536000");
    }

    private static int Check(Answer answer, string what)
    {
        answer.Header("X-Content-Type-Options").ShouldBe("nosniff", what);
        answer.Header("Content-Security-Policy").ShouldBe("default-src 'none'; frame-ancestors 'none'", what);
        answer.Header("Referrer-Policy").ShouldBe("no-referrer", what);
        answer.Header("Strict-Transport-Security").ShouldBeNull(what);
        answer.Header("Server").ShouldBeNull(what);
        // Git's own clients want theirs, which says as much.
        answer.Header("Cache-Control").ShouldBeOneOf("no-store", "no-cache, max-age=0, must-revalidate");
        return answer.Status;
    }
}
