using System.Security.Cryptography;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class L2_No_secret_leaves_unrecorded
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task When_the_record_cannot_be_written_what_discloses_fails_and_the_rest_goes_on(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        using var repository = Repository();
        await using var server = await ServerAsync(repository, postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var seal = ("Lockstep-Seal-To", Jwe.ExportPublicKey(key));
        var reader = await server.AsAsync("reader");
        var viewer = await server.AsAsync("viewer");
        var etag = (await reader.ConfigAsync("shop/dev")).Ok().ETag;
        (await reader.ConfigAsync("plain/dev")).Ok();
        await server.ExecuteAsync("ALTER TABLE audit RENAME TO elsewhere");

        foreach (var answer in new[]
        {
            await reader.ConfigAsync("shop/dev"), await reader.ConfigAsync("shop/dev", "?release=2"), await reader.ConfigAsync("shop/dev", "?format=dotenv"),
            await reader.ConfigAsync("shop/dev", "", "\"other\""), await server.Admin.GetAsync("/v1/secrets/shop/db", seal),
            await server.Admin.PutAsync("/v1/secrets/shop/db", new { value = "next" }), await server.Admin.PostAsync("/v1/tokens", new { name = "n", role = "viewer" }),
        })
        {
            answer.ShouldBe(503, "unavailable");
            answer.Header("Retry-After").ShouldNotBeNull();
            answer.Text.ShouldNotContain("the-value");
        }
        foreach (var path in new[] { "/spring/shop/dev", "/spring/shop-dev.yml", "/spring/shop-dev.json?resolvePlaceholders=false" })
        {
            var answer = await reader.GetAsync(path);
            answer.Status.ShouldBe(503, path);
            answer.Header("Retry-After").ShouldNotBeNull();
            answer.Text.ShouldNotContain("the-value");
        }
        (await reader.GetAsync("/spring/plain/dev")).Status.ShouldBe(200);
        (await reader.ConfigAsync("shop/dev", "", etag)).ShouldBe(304);
        (await viewer.ConfigAsync("shop/dev")).Ok().Withheld.ShouldBe(["password"]);
        (await reader.ConfigAsync("plain/dev")).Ok();
        (await viewer.GetAsync("/v1/secrets/shop/db")).ShouldBe(403, "forbidden");
        (await server.Admin.GetAsync("/v1/secrets/shop/db")).Ok();

        await server.ExecuteAsync("ALTER TABLE elsewhere RENAME TO audit");
        (await reader.ConfigAsync("shop/dev")).Ok().Value("password").ShouldBe("the-value");
        (await server.Admin.GetAsync("/v1/secrets/shop/db")).Ok().Json.GetProperty("active").GetInt32().ShouldBe(1);
        (await VerifyAsync(server)).GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task No_byte_is_sent_while_the_entry_is_not_written()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var reader = await server.AsAsync("reader");
        (await reader.ConfigAsync("shop/dev")).Ok();
        (await reader.ConfigAsync("plain/dev")).Ok();
        var entries = await EntriesAsync(server, "config.read");
        using var release = new ManualResetEventSlim();
        var entered = new TaskCompletionSource();
        var held = server.Database.WriteAsync(_ => { entered.SetResult(); release.Wait(TimeSpan.FromSeconds(30)); return true; }, CancellationToken.None);
        await entered.Task;
        var reading = reader.ConfigAsync("shop/dev");
        for (var i = 0; i < 50; i++) (await reader.ConfigAsync("plain/dev")).Ok();
        reading.IsCompleted.ShouldBeFalse();
        release.Set();
        await held;
        (await reading).Ok();
        (await EntriesAsync(server, "config.read")).Count.ShouldBe(entries.Count + 1);
    }

    [Fact]
    public async Task An_entry_says_who_got_what_where_and_when_and_nothing_is_entered_for_what_discloses_nothing()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var reader = await server.AsAsync("reader");
        var answer = (await reader.GetAsync("/v1/config/shop/dev", ("Lockstep-Instance", "pod-7"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))).Ok();
        await reader.ConfigAsync("shop/dev", "", answer.ETag);
        await reader.ConfigAsync("plain/dev");
        await (await server.AsAsync("viewer")).ConfigAsync("shop/dev");
        var entry = (await EntriesAsync(server, "config.read")).ShouldHaveSingleItem();
        entry.GetProperty("decision").GetString().ShouldBe("allowed");
        entry.GetProperty("actor").GetString().ShouldBe(reader.Name);
        entry.GetProperty("tokenId").GetString().ShouldBe(reader.TokenId);
        entry.GetProperty("address").GetString().ShouldBe("127.0.0.1");
        entry.GetProperty("instances")[0].GetString().ShouldBe("pod-7");
        entry.GetProperty("trace").GetString().ShouldBe("0af7651916cd43dd8448eb211c80319c");
        entry.GetProperty("route").GetString().ShouldBe("GET /v1/config");
        entry.GetProperty("subject").GetString().ShouldBe("shop/dev");
        entry.GetProperty("release").GetInt64().ShouldBe(answer.Release);
        entry.GetProperty("secrets")[0].GetString().ShouldBe("shop/db@1");
        entry.GetProperty("count").GetInt32().ShouldBe(1);
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        (await server.Admin.GetAsync("/v1/secrets/shop/db")).Ok();
        (await EntriesAsync(server, "secret.read")).ShouldBeEmpty();
        (await server.Admin.GetAsync("/v1/secrets/shop/db", ("Lockstep-Seal-To", Jwe.ExportPublicKey(key)))).Ok();
        (await EntriesAsync(server, "secret.read")).ShouldHaveSingleItem().GetProperty("secrets")[0].GetString().ShouldBe("shop/db@1");
    }

    [Fact]
    public async Task Two_hundred_equal_reads_at_once_add_up()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        var reader = await server.AsAsync("reader");
        (await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => reader.ConfigAsync("shop/dev")))).ShouldAllBe(a => a.Status == 200);
        (await EntriesAsync(server, "config.read")).Sum(e => e.GetProperty("count").GetInt32()).ShouldBe(200);
        (await VerifyAsync(server)).GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Failed_authentications_are_counted_by_address_and_minute()
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository, time: new EagerBooks());
        var revoked = await server.AsAsync("viewer");
        (await server.Admin.DeleteAsync("/v1/tokens/" + revoked.Name)).ShouldBe(204);
        for (var i = 0; i < 7; i++) (await revoked.ConfigAsync("shop/dev")).ShouldBe(401);
        (await server.Nobody.ConfigAsync("shop/dev")).ShouldBe(401);
        List<JsonElement> found = [];
        for (var end = TimeProvider.System.GetTimestamp(); found.Sum(e => e.GetProperty("count").GetInt32()) < 7 && TimeProvider.System.GetElapsedTime(end) < TimeSpan.FromSeconds(20);)
            found = await EntriesAsync(server, "authentication.failed");
        found.Sum(e => e.GetProperty("count").GetInt32()).ShouldBe(7);
        found.ShouldAllBe(e => e.GetProperty("address").GetString() == "127.0.0.1" && e.GetProperty("decision").GetString() == "denied");
    }

    [Theory]
    [InlineData("UPDATE audit SET entry = replace(entry, '\"allowed\"', '\"denied\"') WHERE seq = 6")]
    [InlineData("DELETE FROM audit WHERE seq = 6")]
    [InlineData("UPDATE audit SET seq = CASE seq WHEN 6 THEN -7 ELSE -6 END WHERE seq IN (6, 7); UPDATE audit SET seq = -seq WHERE seq < 0")]
    [InlineData("UPDATE audit SET entry = (SELECT entry FROM audit WHERE seq = 4), mac = (SELECT mac FROM audit WHERE seq = 4) WHERE seq = 6")]
    public async Task A_changed_record_is_found(string sql)
    {
        using var repository = Repository();
        await using var server = await ServerAsync(repository);
        for (var i = 0; i < 6; i++) (await (await server.AsAsync("reader")).ConfigAsync("shop/dev")).Ok();
        (await VerifyAsync(server)).GetProperty("valid").GetBoolean().ShouldBeTrue();
        foreach (var statement in sql.Split(';')) await server.ExecuteAsync(statement);
        var check = await VerifyAsync(server);
        check.GetProperty("valid").GetBoolean().ShouldBeFalse();
        check.GetProperty("firstBad").GetProperty("seq").GetInt64().ShouldBeInRange(6, 7);
    }

    internal static async Task<List<JsonElement>> EntriesAsync(TestServer server, string action) =>
        [.. (await server.Admin.GetAsync($"/v1/audit?action={action}&limit=1000")).Ok().Json.GetProperty("items").EnumerateArray()];

    private static async Task<JsonElement> VerifyAsync(TestServer server) => (await server.Admin.GetAsync("/v1/audit/verify")).Ok().Json;

    private static TestRepository Repository()
    {
        var repository = new TestRepository();
        repository.Commit(("shop.yml", "password: ${secret:shop/db}\n"), ("plain.yml", "a: 1\n"));
        return repository;
    }

    private static async Task<TestServer> ServerAsync(TestRepository repository, string? database = null, TimeProvider? time = null)
    {
        var server = await TestServer.StartAsync(repository, database: database, time: time);
        (await server.PutAsync("shop/db", "the-value")).Ok();
        return server;
    }

    // The bookkeeping of each minute comes at once; the limits of git, whole minutes, stay as they are.
    private sealed class EagerBooks : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => base.CreateTimer(
            callback, state, dueTime.TotalSeconds is > 50 and < 70 && dueTime != TimeSpan.FromMinutes(1) ? TimeSpan.FromMilliseconds(50) : dueTime, period);
    }
}
