using System.Text.Json;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Audit;

public sealed class AuditExportTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task An_export_is_every_entry_of_the_time_oldest_first_and_is_itself_entered_before_it_begins(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time, database: postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        var (from, to) = (DateTimeOffset.MinValue, DateTimeOffset.MinValue);
        for (var i = 0; i < 700; i++)
        {
            if (i == 100) from = time.GetUtcNow();
            if (i == 600) to = time.GetUtcNow();
            if (i % 100 == 0) (await server.PutAsync($"s/{i}", "v")).Ok();
            else await server.Gate.Audit.RecordAsync(AuditFixture.Entry(token: $"t{i}") with { At = time.GetUtcNow() }, CancellationToken.None);
            time.Advance(TimeSpan.FromSeconds(1));
        }
        var all = await ExportAsync(server, "");
        all.Select(l => l.GetProperty("seq").GetInt64()).ShouldBe(Enumerable.Range(1, all.Count).Select(i => (long)i));
        var listed = (await server.Admin.GetAsync("/v1/audit?limit=1")).Ok().Json.GetProperty("items")[0];
        listed.GetProperty("action").GetString().ShouldBe("audit.export");
        listed.GetProperty("seq").GetInt64().ShouldBe(all.Count + 1);
        listed.GetProperty("detail").GetString()!.ShouldStartWith("since the beginning until 2030-");
        foreach (var line in all)
            (line.GetProperty("node").GetString(), Convert.FromBase64String(line.GetProperty("mac").GetString()!).Length, line.TryGetProperty("action", out _)).ShouldBe(("local", 32, true));

        var some = await ExportAsync(server, $"?since={Uri.EscapeDataString($"{from:O}")}&until={Uri.EscapeDataString($"{to:O}")}");
        some.Count.ShouldBe(500);
        some.ShouldAllBe(l => l.GetProperty("at").GetDateTimeOffset() >= from && l.GetProperty("at").GetDateTimeOffset() < to);
        (await server.Admin.GetAsync("/v1/audit/export?since=today")).ShouldBe(400, "bad-request");
        (await (await server.AsAsync("reader")).GetAsync("/v1/audit/export")).ShouldBe(403, "forbidden");
        using var client = new LockstepClient(new LockstepClientOptions { Addresses = [new Uri(server.Server.Address)], Token = _ => ValueTask.FromResult<string?>(server.Admin.Token) });
        using var copy = new MemoryStream();
        await client.ExportAuditAsync(copy, from, to);
        copy.ToArray().AsSpan().Count((byte)'\n').ShouldBe(500);
    }

    [Fact]
    public async Task A_row_that_is_no_entry_any_more_breaks_no_line()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        for (var i = 0; i < 5; i++) await server.AsAsync("viewer");
        await server.ExecuteAsync("UPDATE audit SET entry = replace(entry, '{\"at\"', '{' || char(10) || '\"at\"') WHERE seq = 2");
        await server.ExecuteAsync("UPDATE audit SET entry = 'nothing' WHERE seq = 3");
        var all = await ExportAsync(server, "");
        all.Select(l => l.GetProperty("seq").GetInt64()).ShouldBe(Enumerable.Range(1, all.Count).Select(i => (long)i));
        all.Where(l => l.GetProperty("action").GetString() == "damaged").Select(l => l.GetProperty("seq").GetInt64()).ShouldBe([2, 3]);
    }

    [Fact]
    public async Task A_changed_setting_is_entered_by_its_name_with_the_next_start()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        await server.RestartAsync();
        (await ChangesAsync(server)).ShouldBeEmpty();
        server.Options = server.Options with
        {
            Audit = server.Options.Audit with { Retention = TimeSpan.FromDays(30) },
            Spring = server.Options.Spring with { Overrides = [new("token", "a-secret-override")] },
            Roles = [new RoleOptions { Name = "ops", Permissions = ["config:read"] }],
        };
        await server.RestartAsync();
        (await ChangesAsync(server)).ShouldBe(["access.roles.ops, audit.retention, roles, spring.overrides, spring.overrides.token"]);
        // What is not printed is compared too, and held nowhere.
        server.Options = server.Options with
        {
            Spring = server.Options.Spring with { Overrides = [new("token", "another-override")] },
            Roles = [new RoleOptions { Name = "ops", Permissions = ["config:write"] }],
        };
        await server.RestartAsync();
        (await ChangesAsync(server))[0].ShouldBe("access.roles.ops, spring.overrides.token");
        (await server.QueryAsync("SELECT text FROM meta WHERE name = 'settings:local'"))[0].ShouldNotContain("override\"");
        (await server.QueryAsync("SELECT COUNT(*) FROM meta WHERE text LIKE '%another-override%'"))[0].ShouldBe("0");
        await server.RestartAsync();
        (await ChangesAsync(server)).Length.ShouldBe(2);
    }

    private static async Task<string[]> ChangesAsync(TestServer server) =>
        [.. (await server.Admin.GetAsync("/v1/audit?action=settings.change")).Ok().Json.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("detail").GetString()!)];

    private static async Task<List<JsonElement>> ExportAsync(TestServer server, string query)
    {
        var answer = (await server.Admin.GetAsync("/v1/audit/export" + query)).Ok();
        answer.Header("Content-Type").ShouldBe("application/x-ndjson");
        return [.. answer.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l))];
    }
}
