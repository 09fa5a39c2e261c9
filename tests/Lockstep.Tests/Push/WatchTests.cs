using System.Net.WebSockets;
using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

[Trait("speed", "medium")]
public sealed class WatchTests
{
    [Fact]
    public async Task A_subscription_is_answered_with_the_document_and_then_told_what_differs()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var reader = await server.AsAsync("reader");
        await using var watcher = await TestWatcher.ConnectAsync(server, reader.Token);
        var snapshot = await watcher.SubscribeAsync(1, "shop/dev");
        Op(snapshot).ShouldBe("snapshot");
        var read = (await reader.ConfigAsync("shop/dev")).Ok();
        snapshot.GetProperty("etag").GetString().ShouldBe(read.ETag);
        foreach (var property in read.Json.EnumerateObject())
            snapshot.GetProperty(property.Name).GetRawText().ShouldBe(property.Value.GetRawText());

        repository.Commit(("shop.yml", "color: green\nsize: 1\npassword: ${secret:shop/db}\nextra: ${secret:shop/db}-x\n"));
        (await server.RefreshAsync()).ShouldBe(["shop/dev"]);
        var change = await watcher.NextAsync();
        Op(change).ShouldBe("change");
        change.GetProperty("id").GetInt32().ShouldBe(1);
        change.GetProperty("from").GetInt64().ShouldBe(read.Release);
        change.GetProperty("release").GetInt64().ShouldBe(server.Release);
        change.GetProperty("commit").GetString().ShouldBe(repository.Head);
        change.GetProperty("set").GetRawText().ShouldBe("""{"color":"green","extra":"the-value-x"}""");
        change.GetProperty("unset").GetRawText().ShouldBe("""["gone"]""");
        change.GetProperty("secrets").GetRawText().ShouldBe("""["extra","password"]""");
        change.TryGetProperty("withheld", out _).ShouldBeFalse();
        var now = (await reader.ConfigAsync("shop/dev")).Ok();
        change.GetProperty("etag").GetString().ShouldBe(now.ETag);
        watcher.Held[1].Values.ShouldBe(now.SortedValues);
    }

    [Fact]
    public async Task Who_holds_the_newest_is_told_so_and_who_holds_an_older_one_gets_the_document()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var reader = await server.AsAsync("reader");
        await using (var first = await TestWatcher.ConnectAsync(server, reader.Token))
        {
            await first.SubscribeAsync(1, "shop/dev");
            await using var second = await TestWatcher.ConnectAsync(server, reader.Token);
            second.Held[7] = first.Held[1];
            var current = await second.SubscribeAsync(7, "shop/dev");
            Op(current).ShouldBe("current");
            current.GetProperty("release").GetInt64().ShouldBe(server.Release);
            current.GetProperty("etag").GetString().ShouldBe(first.Held[1].ETag);
            await server.PutValueAsync("shop/db", "another");
            Op(await second.NextAsync()).ShouldBe("change");
            second.Held[7]["password"].ShouldBe("another");

            await using var third = await TestWatcher.ConnectAsync(server, reader.Token);
            third.Held[1] = first.Held[1];
            Op(await third.SubscribeAsync(1, "shop/dev")).ShouldBe("snapshot");
        }
    }

    [Fact]
    public async Task Each_reader_is_told_what_it_may_see()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var viewer = await TestWatcher.ConnectAsync(server, (await server.AsAsync("viewer")).Token);
        await using var reader = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await viewer.SubscribeAsync(1, "shop/dev");
        await reader.SubscribeAsync(1, "shop/dev");
        viewer.Held[1]["password"].ShouldBeNull();
        viewer.Held[1].Lists.ShouldBe("""[]["password"]""");
        await server.PutValueAsync("shop/db", "next-value");
        (await reader.NextAsync()).GetProperty("set").GetRawText().ShouldBe("""{"password":"next-value"}""");
        (await viewer.IsQuietAsync()).ShouldBeTrue();
    }

    [Fact]
    public async Task What_does_not_exist_is_told_and_sent_when_it_appears()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        var error = await watcher.SubscribeAsync(3, "later/dev");
        Op(error).ShouldBe("error");
        error.GetProperty("id").GetInt32().ShouldBe(3);
        error.GetProperty("code").GetString().ShouldBe("not-found");
        repository.Commit(("shop.yml", "color: blue\n"));
        await server.RefreshAsync();
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        repository.Commit(("later.yml", "at: last\n"));
        await server.RefreshAsync();
        Op(await watcher.NextAsync()).ShouldBe("snapshot");
        watcher.Held[3]["at"].ShouldBe("last");
        repository.Commit(("later.yml", "at: length\n"));
        await server.RefreshAsync();
        Op(await watcher.NextAsync()).ShouldBe("change");
    }

    [Fact]
    public async Task A_document_that_never_was_valid_is_sent_when_it_is()
    {
        using var repository = Repository();
        repository.Commit(("odd.yml", "password: ${secret:odd/db}\n"));
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        (await watcher.SubscribeAsync(1, "odd/dev")).GetProperty("code").GetString().ShouldBe("invalid-config");
        await server.PutAsync("odd/db", "at-last");
        Op(await watcher.UntilOpAsync("snapshot")).ShouldBe("snapshot");
        watcher.Held[1]["password"].ShouldBe("at-last");
    }

    [Fact]
    public async Task A_document_that_breaks_is_stale_until_it_is_whole_again()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        repository.Commit(("shop.yml", "color: [\n"));
        await server.RefreshAsync();
        var stale = await watcher.NextAsync();
        Op(stale).ShouldBe("stale");
        stale.GetProperty("since").GetString().ShouldNotBeNull();
        stale.GetProperty("reason").GetString()!.ShouldContain("shop.yml");

        await using var late = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        (await late.SubscribeAsync(1, "shop/dev")).GetProperty("stale").GetProperty("reason").GetString()!.ShouldContain("shop.yml");
        late.Held[1]["color"].ShouldBe("red");
        await using var resumed = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        resumed.Held[1] = watcher.Held[1];
        Op(await resumed.SubscribeAsync(1, "shop/dev")).ShouldBe("current");
        Op(await resumed.NextAsync()).ShouldBe("stale");

        repository.Commit(("shop.yml", "color: white\n"));
        await server.RefreshAsync();
        foreach (var each in new[] { watcher, late, resumed })
        {
            Op(await each.NextAsync()).ShouldBe("change");
            each.Held[1]["color"].ShouldBe("white");
            var over = await each.NextAsync();
            Op(over).ShouldBe("stale");
            over.GetProperty("since").ValueKind.ShouldBe(JsonValueKind.Null);
            over.GetProperty("reason").ValueKind.ShouldBe(JsonValueKind.Null);
        }
    }

    [Fact]
    public async Task A_remote_that_is_gone_makes_every_document_stale()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        var elsewhere = repository.Path + "-gone";
        Directory.Move(repository.Path, elsewhere);
        (await server.Admin.PostAsync("/v1/refresh")).Status.ShouldBe(503);
        Op(await watcher.NextAsync()).ShouldBe("stale");
        Directory.Move(elsewhere, repository.Path);
        await server.RefreshAsync();
        (await watcher.NextAsync()).GetProperty("since").ValueKind.ShouldBe(JsonValueKind.Null);
    }

    [Fact]
    public async Task Who_watches_a_commit_hears_of_its_secrets()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        Op(await watcher.SubscribeAsync(1, "shop/dev", repository.Head)).ShouldBe("snapshot");
        repository.Commit(("shop.yml", "color: other\n"));
        await server.RefreshAsync();
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        await server.PutValueAsync("shop/db", "rotated");
        (await watcher.NextAsync()).GetProperty("set").GetRawText().ShouldBe("""{"password":"rotated"}""");
        (await server.Admin.GetAsync($"/v1/fleet/shop/dev?label={repository.Git("rev-parse", "HEAD~1")}")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
    }

    [Fact]
    public async Task What_is_stale_for_too_long_is_sent_to_nobody_new_until_it_is_fresh()
    {
        using var repository = Repository();
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, o => o with { Config = o.Config with { MaxStale = TimeSpan.FromMinutes(10) } }, time);
        (await server.PutAsync("shop/db", "the-value")).Ok();
        await using var held = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await held.SubscribeAsync(1, "shop/dev");
        var elsewhere = repository.Path + "-gone";
        Directory.Move(repository.Path, elsewhere);
        (await server.Admin.PostAsync("/v1/refresh")).Status.ShouldBe(503);
        Op(await held.NextAsync()).ShouldBe("stale");
        time.Advance(TimeSpan.FromMinutes(11));
        await using var late = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        (await late.SubscribeAsync(1, "shop/dev")).GetProperty("code").GetString().ShouldBe("unavailable");
        // The server looks after such things once a second.
        await Task.Delay(TimeSpan.FromSeconds(2.5), TimeProvider.System);
        (await late.IsQuietAsync()).ShouldBeTrue();
        Directory.Move(elsewhere, repository.Path);
        await server.RefreshAsync();
        Op(await late.NextAsync()).ShouldBe("snapshot");
        (await held.NextAsync()).GetProperty("since").ValueKind.ShouldBe(JsonValueKind.Null);
        held.Held[1]["password"].ShouldBe("the-value");
    }

    [Fact]
    public async Task A_rollback_is_pushed_and_says_so()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        var before = server.Release;
        await server.PutValueAsync("shop/db", "bad");
        await watcher.NextAsync();
        (await server.Admin.PostAsync("/v1/config/shop/dev/rollback", new { to = before })).Ok();
        var change = await watcher.NextAsync();
        change.GetProperty("pinned").GetInt64().ShouldBe(before);
        watcher.Held[1]["password"].ShouldBe("the-value");
    }

    [Fact]
    public async Task What_one_may_not_read_is_refused_and_unsubscribing_ends_the_frames()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var narrow = await server.AsAsync("reader", t => t with { Services = ["shop"] });
        await using var watcher = await TestWatcher.ConnectAsync(server, narrow.Token);
        (await watcher.SubscribeAsync(1, "plain/dev")).GetProperty("code").GetString().ShouldBe("forbidden");
        await watcher.SubscribeAsync(1, "shop/dev");
        await watcher.SubscribeAsync(2, "shop/prod");
        await watcher.SendAsync(new { op = "unsubscribe", id = 1 });
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        repository.Commit(("shop.yml", "color: black\n"));
        await server.RefreshAsync();
        (await watcher.NextAsync()).GetProperty("id").GetInt32().ShouldBe(2);
        (await watcher.IsQuietAsync()).ShouldBeTrue();
        // The number is free again.
        Op(await watcher.SubscribeAsync(1, "shop/dev")).ShouldBe("snapshot");
    }

    [Fact]
    public async Task A_release_that_this_server_does_not_have_is_waited_for_and_then_it_says_goodbye()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await watcher.SendAsync(new { op = "subscribe", id = 1, service = "shop", environment = "dev", release = server.Release + 1 });
        repository.Commit(("shop.yml", "color: now\n"));
        await server.RefreshAsync();
        await watcher.NextAsync();
        watcher.Held[1]["color"].ShouldBe("now");
        await watcher.SendAsync(new { op = "subscribe", id = 2, service = "shop", environment = "dev", release = server.Release + 1 });
        var goodbye = await watcher.NextAsync();
        Op(goodbye).ShouldBe("goodbye");
        goodbye.GetProperty("retryAfterMs").GetInt64().ShouldBePositive();
        (await watcher.ClosedAsync()).ShouldBe(1012);
    }

    [Fact]
    public async Task A_server_that_stops_says_goodbye()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        var stopping = server.StopAsync();
        Op(await watcher.NextAsync()).ShouldBe("goodbye");
        (await watcher.ClosedAsync()).ShouldBe(1012);
        await watcher.Socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        await stopping;
    }

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "color: red\nsize: 1\ngone: soon\npassword: ${secret:shop/db}\n"), ("plain.yml", "a: 1\n"));

    private static async Task<TestServer> StartAsync(TestRepository repository)
    {
        var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", "the-value")).Ok();
        return server;
    }

    private static string? Op(JsonElement frame) => frame.GetProperty("op").GetString();
}
