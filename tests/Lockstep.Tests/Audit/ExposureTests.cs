using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

public sealed class ExposureTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, true)]
    [Trait("speed", "medium")]
    public async Task Exposure_is_what_the_trace_says(int seed, bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "k1: ${secret:s/1}\nk2: ${secret:s/2}\n"), ("b.yml", "k2: ${secret:s/2}\nk3: ${secret:s/3}\n"), ("plain.yml", "x: 1\n"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time, database: postgres ? await PostgresServer.CreateDatabaseAsync() : null);
        var trace = new ExposureTrace(server, time, new Random(seed));
        await trace.StartAsync();
        for (var step = 0; step < 150; step++) await trace.StepAsync();
        await trace.StopAsync();
        foreach (var since in new DateTimeOffset?[] { null, trace.Middle })
        {
            foreach (var token in trace.Tokens)
                Text((await server.Gate.Audit.Exposure.OfAsync([token.TokenId], since, s_none)).Items).ShouldBe(Text(trace.Expected([token.TokenId], since)), $"seed {seed}, {token.Name} since {since}");
            Text((await server.Gate.Audit.Exposure.OfAsync([.. trace.Tokens.Select(t => t.TokenId)], since, s_none)).Items)
                .ShouldBe(Text(trace.Expected([.. trace.Tokens.Select(t => t.TokenId)], since)), $"seed {seed}, all since {since}");
        }
        trace.Expected([.. trace.Tokens.Select(t => t.TokenId)], null).Count.ShouldBeGreaterThan(5);
        // By name, over HTTP.
        var (first, query) = (trace.Tokens[0], $"&since={Uri.EscapeDataString($"{trace.Middle:O}")}");
        var answer = (await server.Admin.GetAsync($"/v1/audit/exposure?token={first.Name}{query}")).Ok();
        Text(System.Text.Json.JsonSerializer.Deserialize(answer.Body, LockstepJson.Default.ExposureReport)!.Items).ShouldBe(Text(trace.Expected([first.TokenId], trace.Middle)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task What_derived_tokens_were_given_counts_at_any_depth_also_when_they_are_gone(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        await using var fixture = postgres ? await PostgresAsync() : await SqliteAsync();
        // b is known from the list of tokens, c and d from the record alone; a circle ends.
        await fixture.ExecuteAsync("INSERT INTO tokens (id, name, hash, parent, role, created_at, created_by) VALUES ('b', 'b', '', 'a', 'reader', 0, 'x'), ('x', 'x', '', NULL, 'reader', 0, 'x')");
        AuditEntry Of(string token, string? parent, string secret) => Entry(token: token) with { Parent = parent, Secrets = [secret] };
        foreach (var entry in new[] { Of("a", null, "s/a@1"), Of("b", null, "s/b@1"), Of("c", "b", "s/c@1"), Of("d", "c", "s/d@2"), Of("a", "d", "s/e@1"), Of("x", null, "s/x@1") })
            await fixture.Log.RecordAsync(entry, s_none);
        string[] Of2(ExposureReport report) => [.. report.Items.Select(i => $"{i.Secret}@{i.Version}")];
        Of2(await fixture.Log.Exposure.OfAsync(["b"], null, s_none)).ShouldBe(["s/a@1", "s/b@1", "s/c@1", "s/d@2", "s/e@1"]);
        Of2(await fixture.Log.Exposure.OfAsync(["x"], null, s_none)).ShouldBe(["s/x@1"]);
        Of2(await fixture.Log.Exposure.OfAsync(["x", "c", "c"], null, s_none)).Length.ShouldBe(6);
        await fixture.ExecuteAsync("DELETE FROM tokens");
        Of2(await fixture.Log.Exposure.OfAsync(["c"], null, s_none)).ShouldBe(["s/a@1", "s/c@1", "s/d@2", "s/e@1"], ignoreOrder: true);
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task Lists_are_bounded_and_say_so()
    {
        await using var fixture = await SqliteAsync();
        for (var i = 0; i < 12; i++)
        {
            await fixture.Database.WriteAsync(s =>
            {
                for (var j = 0; j < 10; j++)
                    fixture.Log.Append(s, Entry() with { Secrets = ["a@1"], Address = $"10.0.{i}.{j}" }, Entry() with { Secrets = [.. Enumerable.Range(0, 100).Select(n => $"s/{i}-{j}-{n}@1")] });
                return true;
            }, s_none);
        }
        var report = await fixture.Log.Exposure.OfAsync(["t1"], null, s_none);
        report.Truncated.ShouldBeTrue();
        report.Items.Count.ShouldBe(Exposure.MaxItems);
        var item = report.Items.Single(i => i.Secret == "a");
        (item.Count, item.Addresses.Count, item.More).ShouldBe((120, Exposure.MaxListed, true));
        report.Items.Count(i => i.More).ShouldBe(1);
    }

    [Fact]
    public async Task Watchers_that_were_entered_without_their_addresses_are_told_as_more()
    {
        await using var fixture = await SqliteAsync();
        await fixture.Log.RecordAsync(Entry("config.watch") with { Secrets = ["a@1"], Count = 101 }, s_none);
        await fixture.Log.RecordAsync(Entry("config.watch") with { Secrets = ["b@1"] }, s_none);
        (await fixture.Log.Exposure.OfAsync(["t1"], null, s_none)).Items.Select(i => (i.Secret, i.More)).ShouldBe([("a", true), ("b", false)]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task A_name_stands_for_all_tokens_that_had_it_and_an_id_for_itself_alone(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        await using var fixture = postgres ? await PostgresAsync() : await SqliteAsync();
        (string Id, string Name)[] rows = [("t1", "job (t1)"), ("t2", "job"), ("t3", "JOB (t3)"), ("t4", "job (x)"), ("t5", "jo_ (t5)"), ("t6", "t1"), ("t7", "jwt_1"), ("t8", "xjob (t8)")];
        foreach (var (row, i) in rows.Select((r, i) => (r, i)))
            await fixture.ExecuteAsync($"INSERT INTO tokens (id, name, hash, parent, role, created_at, created_by) VALUES ('{row.Id}', '{row.Name}', '', NULL, 'reader', {i}, 'x')");
        await fixture.Log.RecordAsync(Entry(token: "jwt_1"), s_none);
        foreach (var (text, ids) in new[] { ("job", "t2 t1"), ("JOB", "t3"), ("jo_", "t5"), ("j%", ""), ("job (t1)", "t1"), ("t1", "t1"), ("jwt_1", "jwt_1"), ("nobody", "") })
            string.Join(' ', await fixture.Log.Exposure.IdsAsync(text, [], s_none)).ShouldBe(ids, text);
        string.Join(' ', await fixture.Log.Exposure.IdsAsync("a@b", ["jwt_2", "jwt_1"], s_none)).ShouldBe("jwt_1");
    }

    [Fact]
    public async Task A_derived_token_that_ended_is_found_by_its_name_with_the_one_that_took_the_name()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "k1: ${secret:s/1}\n"), ("b.yml", "k2: ${secret:s/2}\n"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time);
        (await server.PutAsync("s/1", "v")).Ok();
        (await server.PutAsync("s/2", "v")).Ok();
        var parent = await server.AsAsync("reader");
        async Task ReadAsync(string document)
        {
            var derived = (await parent.PostAsync("/v1/tokens/derive", new { name = "job", expiresIn = "1m" })).Ok().Json;
            (await new TestCaller(server, derived.GetProperty("token").GetString()!).ConfigAsync(document)).Ok();
            time.Advance(TimeSpan.FromMinutes(2));
            server.Gate.Tokens.ForgetEnded();
        }

        async Task<string> ExposedAsync() => string.Join(' ',
            (await server.Admin.GetAsync($"/v1/audit/exposure?token={parent.Name}.job")).Ok().Json.GetProperty("items").EnumerateArray().Select(i => i.GetProperty("secret").GetString()));

        await ReadAsync("a/dev");
        (await ExposedAsync()).ShouldBe("s/1");
        await ReadAsync("b/dev");
        (await ExposedAsync()).ShouldBe("s/1 s/2");
        (await server.Admin.GetAsync($"/v1/audit?token={parent.Name}.job&action=config.read")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(2);
    }

    [Fact]
    public async Task A_subject_of_an_issuer_is_found_by_its_name_and_the_issuer()
    {
        using var repository = TestRepository.With(("a.yml", "k1: ${secret:s/1}\n"));
        var time = new ManualTime(timers: true);
        await using var issuer = await TestIssuer.StartAsync();
        await using var server = await TestServer.StartAsync(repository, o => o with { Issuers = [issuer.Options(new Lockstep.Settings.IssuerRoleOptions("groups", "boss", "admin"))] }, time);
        (await server.PutAsync("s/1", "v")).Ok();
        var boss = new TestCaller(server, issuer.Token(time.GetUtcNow(), null, ("groups", "boss"), ("sub", "ann@b")));
        (await boss.ConfigAsync("a/dev")).Ok();
        var place = issuer.Url[(issuer.Url.IndexOf("://", StringComparison.Ordinal) + 3)..];
        Task<Answer> AskAsync(string who) => server.Admin.GetAsync("/v1/audit/exposure?token=" + Uri.EscapeDataString(who));
        (await AskAsync($"ann@b@{place}")).Ok().Json.GetProperty("items")[0].GetProperty("secret").GetString().ShouldBe("s/1");
        (await AskAsync($"somebody@{place}")).ShouldBe(404, "not-found");
        (await AskAsync($"@{place}")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/audit?token=" + Uri.EscapeDataString($"ann@b@{place}"))).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
    }

    [Fact]
    public async Task Who_is_unknown_is_404_and_who_is_gone_is_found_by_the_id()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "k1: ${secret:s/1}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("s/1", "v")).Ok();
        var reader = await server.AsAsync("reader");
        (await server.Admin.GetAsync("/v1/audit/exposure?token=" + reader.Name)).Ok().Text.ShouldBe("{\"items\":[]}");
        (await reader.ConfigAsync("a/dev")).Ok();
        (await server.Admin.GetAsync("/v1/audit/exposure?token=nobody")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/audit/exposure")).ShouldBe(400, "bad-request");
        (await server.Admin.GetAsync($"/v1/audit/exposure?token={reader.Name}&since=yesterday")).ShouldBe(400, "bad-request");
        await server.ExecuteAsync($"DELETE FROM tokens WHERE id = '{reader.TokenId}'");
        await server.RestartAsync();
        (await server.Admin.GetAsync("/v1/audit/exposure?token=" + reader.Name)).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/audit/exposure?token=" + reader.TokenId)).Ok().Json.GetProperty("items")[0].GetProperty("secret").GetString().ShouldBe("s/1");
    }

    // One line for each item, so that a difference can be read.
    private static string Text(IEnumerable<ExposedSecret> items) => string.Join('\n', items.Select(i =>
        $"{i.Secret}@{i.Version} {i.First:O} {i.Last:O} ×{i.Count} [{string.Join(',', i.Instances)}] [{string.Join(',', i.Routes)}] [{string.Join(',', i.Addresses)}] {i.More}"));
}
