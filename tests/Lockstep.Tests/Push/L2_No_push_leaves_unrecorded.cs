using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

public sealed class L2_No_push_leaves_unrecorded
{
    private const string Refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN NEW.entry LIKE '%config.watch%' BEGIN SELECT RAISE(ABORT, 'refused'); END";

    [Fact]
    public async Task One_entry_for_each_token_and_document_names_the_instances_and_what_was_sent()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var (one, two, viewer) = (await server.AsAsync("reader"), await server.AsAsync("reader"), await server.AsAsync("viewer"));
        var watchers = new List<TestWatcher>();
        for (var n = 0; n < 5; n++) watchers.Add(await WatchAsync(server, one.Token!, $"pod-{n}"));
        watchers.Add(await WatchAsync(server, two.Token!, "alone"));
        watchers.Add(await WatchAsync(server, viewer.Token!, "viewer"));
        (await EntriesAsync(server, "config.watch")).ShouldBeEmpty();
        await server.PutValueAsync("shop/db", "next");
        foreach (var watcher in watchers.SkipLast(1)) await watcher.UntilAsync(w => w.Held[1]["password"] == "next");
        var entries = await EntriesAsync(server, "config.watch");
        entries.Count.ShouldBe(2);
        var entry = entries.Single(e => e.GetProperty("tokenId").GetString() == one.TokenId);
        entry.GetProperty("instances").EnumerateArray().Select(i => i.GetString()).ShouldBe(["pod-0", "pod-1", "pod-2", "pod-3", "pod-4"], ignoreOrder: true);
        entry.GetProperty("count").GetInt32().ShouldBe(5);
        entry.GetProperty("subject").GetString().ShouldBe("shop/dev");
        entry.GetProperty("route").GetString().ShouldBe("GET /v1/watch");
        entry.GetProperty("release").GetInt64().ShouldBe(server.Release);
        // What changed, and not what was sent before.
        entry.GetProperty("secrets").EnumerateArray().Select(s => s.GetString()).ShouldBe(["shop/db@2"]);
        foreach (var watcher in watchers) await watcher.DisposeAsync();
    }

    [Fact]
    public async Task What_holds_no_secret_is_pushed_without_an_entry()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await WatchAsync(server, (await server.AsAsync("reader")).Token!, "pod");
        repository.Commit(("shop.yml", "password: ${secret:shop/db}\nkey: ${secret:shop/key}\ncolor: blue\n"));
        await server.RefreshAsync();
        await watcher.UntilAsync(w => w.Held[1]["color"] == "blue");
        (await EntriesAsync(server, "config.watch")).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_release_whose_pushes_can_not_be_put_on_the_record_is_not_made()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await WatchAsync(server, (await server.AsAsync("reader")).Token!, "pod");
        await server.ExecuteAsync(Refuse);
        var release = server.Release;
        (await server.PutValueAsync("shop/db", "next")).ShouldBe(503, "unavailable");
        server.Release.ShouldBe(release);
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        await server.ExecuteAsync("DROP TRIGGER refuse");
        (await server.PutValueAsync("shop/db", "at last")).Ok();
        (await watcher.NextAsync()).GetProperty("set").GetProperty("password").GetString().ShouldBe("at last");
    }

    [Fact]
    public async Task What_can_not_be_put_on_the_record_later_is_not_pushed_until_it_can()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token, "pod");
        await using var viewer = await TestWatcher.ConnectAsync(server, (await server.AsAsync("viewer")).Token, "viewer");
        foreach (var each in new[] { watcher, viewer }) (await each.SubscribeAsync(1, "later/dev")).GetProperty("op").GetString().ShouldBe("error");
        await server.ExecuteAsync(Refuse);
        repository.Commit(("later.yml", "key: ${secret:shop/key}\ncolor: green\n"));
        await server.RefreshAsync();
        // Who may see no secret is not held up by the record of those who may.
        await viewer.UntilAsync(w => w.Held.TryGetValue(1, out var held) && held["color"] == "green");
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        await server.ExecuteAsync("DROP TRIGGER refuse");
        (await watcher.NextAsync()).GetProperty("values").GetProperty("key").GetString().ShouldBe("the-key");
        (await EntriesAsync(server, "config.watch")).ShouldHaveSingleItem().GetProperty("secrets")[0].GetString().ShouldBe("shop/key@1");
    }

    private static async Task<TestWatcher> WatchAsync(TestServer server, string token, string instance)
    {
        var watcher = await TestWatcher.ConnectAsync(server, token, instance);
        await watcher.SubscribeAsync(1, "shop/dev");
        return watcher;
    }

    private static async Task<List<JsonElement>> EntriesAsync(TestServer server, string action) =>
        [.. (await server.Admin.GetAsync($"/v1/audit?action={action}&limit=1000")).Ok().Json.GetProperty("items").EnumerateArray()];

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "password: ${secret:shop/db}\nkey: ${secret:shop/key}\ncolor: red\n"), ("plain.yml", "a: 1\n"));

    private static async Task<TestServer> StartAsync(TestRepository repository)
    {
        var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", "the-value")).Ok();
        (await server.PutAsync("shop/key", "the-key")).Ok();
        return server;
    }
}
