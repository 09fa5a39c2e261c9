using System.Text;
using System.Text.Json;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

/// <summary>Who changed what of a document, when and why; what differs between two releases; and the way back.</summary>
[Trait("speed", "medium")]
public sealed class HistoryTests
{
    private static readonly string[] s_documents = ["a/dev", "a/prod", "b/dev", "a/dev,prod"];

    [Fact]
    public async Task History_tells_of_commits_secrets_pins_settings_and_of_what_broke_and_why()
    {
        using var repository = TestRepository.With(("a.yml", "x: 1\ns: ${secret:one}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "hidden")).Ok();
        var first = (await server.Admin.ConfigAsync("a/dev")).Ok().Release;
        var ann = await server.AsAsync("admin", t => t with { Name = "ann" });
        (await ann.PutAsync("/v1/secrets/one", new { value = "hidden too" })).Ok();
        repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\ny: [\n"));
        await server.RefreshAsync();
        repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        await server.RefreshAsync();
        (await ann.PostAsync("/v1/config/a/dev/rollback", new { to = first })).Ok();
        (await ann.DeleteAsync("/v1/config/a/dev/pin")).Ok();
        repository.Commit(("extra/a.yml", "z: 1\n"));
        await server.RefreshAsync();
        await server.StopAsync();
        server.Options = server.Options with { Config = server.Options.Config with { SearchPaths = ["extra"] } };
        await server.StartAsync();

        var page = (await server.Admin.GetAsync("/v1/config/a/dev/history")).Ok();
        page.Text.ShouldNotContain("hidden");
        var items = page.Json.GetProperty("items").EnumerateArray().ToList();
        items.Select(i => $"{Text(i, "kind")} {(Text(i, "kind") is "git" or "shape" ? "" : Text(i, "by"))} {string.Join(',', Names(i))}").ShouldBe(
            ["shape  z", "pin ann s", "pin ann s", "git  ", "git  ", "secret ann s"]);
        items.Select(i => i.GetProperty("documents")[0].GetProperty("valid").GetBoolean()).ShouldBe([true, true, true, true, false, true]);
        items[4].GetProperty("documents")[0].GetProperty("reason").GetString()!.ShouldContain("a.yml:");
        items[3].GetProperty("documents")[0].TryGetProperty("reason", out _).ShouldBeFalse();
        items.Select(i => Text(i, "message")).ShouldAllBe(m => m.Length > 0);
        items[5].GetProperty("message").GetString()!.ShouldContain("one");
    }

    [Fact]
    public async Task A_release_says_what_it_changed_for_whom_as_far_as_one_may_know()
    {
        using var repository = TestRepository.With(("application.yml", "shared: 1\n"), ("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"), ("c.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var document in new[] { "a/dev", "a/prod", "b/dev", "c/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        repository.Commit(("application.yml", "shared: 2\n"), ("a.yml", "x: 2\n"), ("c.yml", "shared: 1\nx: [\n"));
        await server.RefreshAsync();
        var release = (await server.Admin.GetAsync("/v1/releases/2")).Ok().Json;
        release.GetProperty("documentCount").GetInt32().ShouldBe(4);
        release.GetProperty("documents").EnumerateArray().Select(Describe).ShouldBe(
            ["a/dev@main: shared x", "a/prod@main: shared x", "b/dev@main: shared", "c/dev@main invalid: "]);
        Names(release).ShouldBe(["shared", "x"]);

        var some = await server.AsAsync("viewer", t => t with { Services = ["b"] });
        var seen = (await some.GetAsync("/v1/releases/2")).Ok();
        seen.Json.GetProperty("documents").EnumerateArray().Select(Describe).ShouldBe(["b/dev@main: shared"]);
        seen.Json.GetProperty("documentCount").GetInt32().ShouldBe(1);
        Names(seen.Json).ShouldBe(["shared"]);
        (await some.GetAsync("/v1/releases")).Ok().Text.ShouldNotContain("\"x\"");
        (await (await server.AsAsync("viewer", t => t with { Services = ["nothing"] })).GetAsync("/v1/releases/2")).ShouldBe(403);
    }

    [Fact]
    public async Task A_way_back_that_is_gone_is_refused_with_the_secret_that_is_missing()
    {
        using var repository = TestRepository.With(("a.yml", "s: ${secret:team/one}\nx: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("team/one", "hidden")).Ok();
        var release = (await server.Admin.ConfigAsync("a/dev")).Ok().Release;
        repository.Commit(("a.yml", "x: 2\n"));
        await server.RefreshAsync();
        (await server.Admin.DeleteAsync("/v1/secrets/team/one")).ShouldBe(204);
        var refused = (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = release })).ShouldBe(409, "conflict");
        refused.Detail.ShouldContain("team/one");
        refused.Detail.ShouldContain($"release {release}");
        (await server.Admin.PostAsync("/v1/secret-restores/team/one")).Ok();
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = release })).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("hidden");
        (await server.Admin.DeleteAsync("/v1/config/a/dev/pin")).Ok();

        (await server.Admin.DeleteAsync("/v1/secrets/team/one?purge=true")).ShouldBe(204);
        (await server.PutAsync("team/one", "another")).Ok();
        refused = (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = release })).ShouldBe(409, "conflict");
        refused.Detail.ShouldContain("team/one");
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [Trait("speed", "medium")]
    public async Task After_anything_history_is_what_changed_diff_is_what_differs_and_a_rollback_is_what_was(int seed)
    {
        var random = new Random(seed);
        await using var server = TestServer.Create("", o => o with
        {
            Config = o.Config with { Url = null },
            Known = [.. s_documents.Select(d => new KnownDocument(d.Split('/')[0], d.Split('/')[1]))],
        });
        await server.StartAsync();
        var model = new Dictionary<(string Document, long Release), string?>();
        var made = 0;
        foreach (var id in new[] { "one", "two" }) await PutAsync(server, id, ++made);
        await NoteAsync(server, model);
        for (var step = 0; step < 60; step++)
        {
            made = await StepAsync(server, random, made);
            await NoteAsync(server, model);
        }

        var newest = server.Release;
        newest.ShouldBeGreaterThan(30, $"seed {seed}");
        var checkedPairs = 0;
        foreach (var document in s_documents)
        {
            var known = model.Keys.Where(k => k.Document == document).Min(k => k.Release);
            var expected = Enumerable.Range((int)known + 1, (int)(newest - known)).Select(n => (long)n).Where(n => model[(document, n)] != model[(document, n - 1)]).Reverse();
            var history = (await server.Gate.HistoryAsync(CallContext.System("test"), Key(document), long.MaxValue, 1000, default)).Select(r => r.Number).Where(n => n > known);
            history.ShouldBe(expected, $"seed {seed}: {document}");
            var valid = model.Where(m => m.Key.Document == document && m.Value is not null).Select(m => m.Key.Release).ToArray();
            for (var n = 0; n < 25; n++, checkedPairs++)
            {
                var (from, to) = (valid[random.Next(valid.Length)], valid[random.Next(valid.Length)]);
                await CheckDiffAsync(server, document, (from, model[(document, from)]!), (to, model[(document, to)]!), $"seed {seed}: {document} {from} {to}");
            }
            if (document.Contains(',')) continue;
            for (var n = 0; n < 10; n++)
            {
                var to = valid[random.Next(valid.Length)];
                await server.Gate.RollbackAsync(CallContext.System("test"), Key(document), to, default);
                (await LookAsync(server, document)).ShouldBe(model[(document, to)], $"seed {seed}: {document} back to {to}");
            }
        }
        checkedPairs.ShouldBe(100);
    }

    private static Task<Lockstep.Gate.SecretChange> PutAsync(TestServer server, string id, int number) =>
        server.Gate.PutSecretAsync(CallContext.System("test"), new(Lockstep.Secrets.SecretId.Parse(id), new($"value-{number}"), "t", Staged: false), number <= 2 ? 0 : null, force: true, default);

    // No two versions have the same value, so that other versions are other values.
    private static async Task<int> StepAsync(TestServer server, Random random, int made)
    {
        var (gate, call) = (server.Gate, CallContext.System("test"));
        var id = random.Next(2) == 0 ? "one" : "two";
        try
        {
            switch (random.Next(8))
            {
                case 0 or 1:
                    await PutAsync(server, id, ++made);
                    break;
                case 2:
                    await gate.ActivateSecretAsync(call, Lockstep.Secrets.SecretId.Parse(id), random.Next(1, 6), force: true, default);
                    break;
                case 3:
                    await gate.RollbackAsync(call, Key(s_documents[random.Next(3)]), random.NextInt64(1, server.Release + 1), default);
                    break;
                case 4:
                    await gate.UnpinAsync(call, Key(s_documents[random.Next(3)]), force: true, default);
                    break;
                default:
                    await CommitAsync(server, random);
                    break;
            }
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Conflict || e.Code == ErrorCode.NotFound)
        {
        }
        return made;
    }

    private static async Task CommitAsync(TestServer server, Random random)
    {
        var file = new[] { "application.yml", "a.yml", "b.yml", "a-prod.yml", "application-dev.yml" }[random.Next(5)];
        var text = new StringBuilder();
        foreach (var key in "vwxyz".Where(_ => random.Next(2) == 0))
        {
            text.Append(key).Append(": ").Append(random.Next(5) switch
            {
                0 => "${secret:one}",
                1 => "\"p-${secret:two}\"",
                2 => "\"${" + (char)(key + 1) + ":none}\"",
                _ => random.Next(3).ToString(System.Globalization.CultureInfo.InvariantCulture),
            }).Append('\n');
        }
        if (random.Next(12) == 0) text.Append("broken: [\n");
        var parent = server.Gate.Lane.Live.Release.CommitOf("main");
        await server.Server.Repository.CommitAsync("main", parent, new Dictionary<string, byte[]?> { [file] = Encoding.UTF8.GetBytes(text.ToString()) }, "t", "change", default);
        await server.Gate.RefreshAsync(CallContext.System("test"), default);
    }

    // Every step makes one release or none.
    private static async Task NoteAsync(TestServer server, Dictionary<(string, long), string?> model)
    {
        foreach (var document in s_documents) model.TryAdd((document, server.Release), await LookAsync(server, document));
    }

    // The document as its readers have it, without the head; null while it is invalid.
    private static async Task<string?> LookAsync(TestServer server, string document)
    {
        try
        {
            var read = await server.Gate.ReadConfigAsync(CallContext.System("test"), Key(document), null, null, default);
            return read.Head.Stale is null ? Encoding.UTF8.GetString(read.Document.Json.Span) : null;
        }
        catch (LockstepException e) when (e.Code == ErrorCode.InvalidConfig)
        {
            return null;
        }
    }

    private static async Task CheckDiffAsync(TestServer server, string document, (long Release, string Text) from, (long Release, string Text) to, string context)
    {
        var (old, next) = (Values(from.Text), Values(to.Text));
        var diff = await server.Gate.DiffAsync(CallContext.System("test"), Key(document), from.Release, to.Release, default);
        string.Join(",", diff.Added).ShouldBe(string.Join(",", next.Keys.Except(old.Keys).Order(StringComparer.Ordinal)), customMessage: context);
        string.Join(",", diff.Removed).ShouldBe(string.Join(",", old.Keys.Except(next.Keys).Order(StringComparer.Ordinal)), customMessage: context);
        diff.Changed.Select(c => c.Key).ShouldBe(old.Keys.Intersect(next.Keys).Where(k => old[k] != next[k]).Order(StringComparer.Ordinal).ToList(), context);
        foreach (var change in diff.Changed)
        {
            if (change.From.Value is { } a) Raw(a).ShouldBe(old[change.Key], customMessage: context);
            if (change.To.Value is { } b) Raw(b).ShouldBe(next[change.Key], customMessage: context);
        }
    }

    private static Dictionary<string, string> Values(string document)
    {
        using var json = JsonDocument.Parse(document);
        return json.RootElement.GetProperty("values").EnumerateObject().ToDictionary(v => v.Name, v => v.Value.GetRawText(), StringComparer.Ordinal);
    }

    private static string Raw(Lockstep.Config.ScalarValue value)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream)) value.WriteTo(json);
        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private static Lockstep.Config.DocumentKey Key(string document) => new(document.Split('/')[0], document.Split('/')[1]);

    private static string Text(JsonElement item, string name) => item.GetProperty(name).GetString()!;

    private static string[] Names(JsonElement item) => [.. item.GetProperty("keys").EnumerateArray().Select(k => k.GetString()!)];

    private static string Describe(JsonElement document) =>
        $"{Text(document, "service")}/{Text(document, "environment")}@{Text(document, "label")}{(document.GetProperty("valid").GetBoolean() ? "" : " invalid")}: {string.Join(' ', Names(document))}";
}
