using System.Globalization;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

public sealed class L8_Acknowledged_is_durable
{
    [Fact]
    [Trait("speed", "medium")]
    public async Task What_was_answered_is_there_after_a_restart_and_the_next_read_sees_it()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "v1")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok();

        var token = (await server.Admin.PostAsync("/v1/tokens", new { name = "ci", role = "reader" })).Ok().Json.GetProperty("token").GetString();
        await CheckAsync(async caller => (await caller.GetAsync("/v1/whoami")).Ok().Json.GetProperty("name").GetString().ShouldBe("ci"), token);
        token = (await server.Admin.PostAsync("/v1/tokens/ci/roll")).Ok().Json.GetProperty("token").GetString();
        await CheckAsync(async caller => (await caller.GetAsync("/v1/whoami")).Ok().Json.GetProperty("name").GetString().ShouldBe("ci"), token);
        (await server.Admin.DeleteAsync("/v1/tokens/ci")).Ok();
        await CheckAsync(async caller => (await caller.GetAsync("/v1/whoami")).ShouldBe(401), token);

        var put = (await server.PutValueAsync("one", "v2")).Ok().Json;
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("v2"));
        (await server.Admin.PostAsync("/v1/secret-activations/one", new { version = 1 })).Ok();
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("v1"));
        repository.Commit(("a.yml", "x: 2\ns: ${secret:one}\n"));
        (await server.RefreshAsync()).ShouldBe(["a/dev"]);
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2"));
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = put.GetProperty("release").GetInt64() })).Ok();
        await CheckAsync(async caller =>
        {
            var answer = (await caller.ConfigAsync("a/dev")).Ok();
            (answer.Value("x"), answer.Value("s")).ShouldBe(("1", "v2"));
            answer.Json.GetProperty("pinned").GetInt64().ShouldBe(put.GetProperty("release").GetInt64());
        });
        (await server.Admin.DeleteAsync("/v1/config/a/dev/pin")).Ok();
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2"));
        (await server.Admin.DeleteAsync("/v1/secrets/one?force=true")).Ok();
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).ShouldBe(422));
        (await server.Admin.PostAsync("/v1/secret-restores/one")).Ok();
        await CheckAsync(async caller => (await caller.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("v1"));

        async Task CheckAsync(Func<TestCaller, Task> check, string? secret = null)
        {
            var release = server.Release;
            var caller = new TestCaller(server, secret ?? server.Admin.Token);
            await check(caller);
            await server.RestartAsync();
            server.Release.ShouldBe(release);
            await check(caller);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task Of_writers_that_compare_exactly_one_wins_each_version(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "n: ${secret:n}\n"));
        await using var server = await TestServer.StartAsync(repository, database: postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        for (var version = 0; version < 20; version++)
        {
            var both = await Task.WhenAll(Enumerable.Range(0, 2).Select(w => server.Admin.PutAsync("/v1/secrets/n", new { value = $"{version}-{w}", cas = version })));
            both.Select(a => a.Status).Order().ShouldBe([200, 412]);
        }
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Five_hundred_increments_of_many_writers_end_exact()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "n: ${secret:n}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("n", "0")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var start = server.Release;
        await Task.WhenAll(Enumerable.Range(0, 10).Select(async _ =>
        {
            for (var done = 0; done < 50;)
            {
                var active = (await server.Admin.GetAsync("/v1/secrets/n")).Ok().Json.GetProperty("active").GetInt32();
                // The value of version v is v - 1.
                var answer = await server.Admin.PutAsync("/v1/secrets/n", new { value = active.ToString(CultureInfo.InvariantCulture), cas = active });
                if (answer.Status == 200) done++;
                else answer.ShouldBe(412, "precondition-failed");
            }
        }));
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("n").ShouldBe("500");
        server.Release.ShouldBe(start + 500);
        (await server.QueryAsync("SELECT release FROM journal WHERE release IS NOT NULL ORDER BY release"))
            .ShouldBe(Enumerable.Range(1, (int)start + 500).Select(n => n.ToString(CultureInfo.InvariantCulture)));
    }
}
