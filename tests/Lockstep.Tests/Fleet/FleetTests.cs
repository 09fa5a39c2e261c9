using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Fleet;

public sealed class FleetTests
{
    [Fact]
    public async Task An_instance_is_current_only_when_it_says_that_it_runs_on_what_it_was_sent_last()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var reader = await server.AsAsync("reader");
        await using var watcher = await TestWatcher.ConnectAsync(server, reader.Token, "pod-1");
        await watcher.SubscribeAsync(1, "shop/dev");
        var instance = (await FleetAsync(server)).ShouldHaveSingleItem();
        instance.GetProperty("instance").GetString().ShouldBe("pod-1");
        instance.GetProperty("token").GetString().ShouldBe(reader.Name);
        instance.GetProperty("address").GetString().ShouldBe("127.0.0.1");
        instance.GetProperty("release").ValueKind.ShouldBe(JsonValueKind.Null);
        instance.GetProperty("current").GetBoolean().ShouldBeFalse();

        await ReportAsync(watcher, "applied");
        instance = (await FleetAsync(server)).ShouldHaveSingleItem();
        instance.GetProperty("release").GetInt64().ShouldBe(server.Release);
        instance.GetProperty("healthy").GetBoolean().ShouldBeTrue();
        instance.GetProperty("current").GetBoolean().ShouldBeTrue();
        instance.GetProperty("since").ValueKind.ShouldBe(JsonValueKind.String);
        var first = (watcher.Held[1].Release, watcher.Held[1].ETag);

        repository.Commit(("shop.yml", "color: blue\n"));
        await server.RefreshAsync();
        // The moment the refresh is answered, nobody who runs on the old one is current.
        (await FleetAsync(server))[0].GetProperty("current").GetBoolean().ShouldBeFalse();
        await watcher.NextAsync();
        // Late: about the one before.
        await watcher.SendAsync(new { op = "applied", id = 1, release = first.Release, etag = first.ETag });
        await watcher.IsQuietAsync();
        (await FleetAsync(server))[0].GetProperty("current").GetBoolean().ShouldBeFalse();
        await ReportAsync(watcher, "failed", "it does not compile\u001b[31m");
        instance = (await FleetAsync(server))[0];
        instance.GetProperty("healthy").GetBoolean().ShouldBeFalse();
        instance.GetProperty("current").GetBoolean().ShouldBeFalse();
        instance.GetProperty("reason").GetString().ShouldBe("it does not compile [31m");
        instance.GetProperty("release").GetInt64().ShouldBe(first.Release);
        await ReportAsync(watcher, "applied");
        (await FleetAsync(server))[0].GetProperty("current").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Nobody_vouches_for_what_another_was_sent()
    {
        using var repository = Repository();
        repository.Commit(("shop.yml", "color: red\npassword: ${secret:db}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("db", "x")).Ok();
        await using var reader = await TestWatcher.ConnectAsync(server, (await server.AsAsync("reader")).Token, "reader");
        await using var viewer = await TestWatcher.ConnectAsync(server, (await server.AsAsync("viewer")).Token, "viewer");
        await reader.SubscribeAsync(1, "shop/dev");
        await viewer.SubscribeAsync(1, "shop/dev");
        await viewer.SendAsync(new { op = "applied", id = 1, release = reader.Held[1].Release, etag = reader.Held[1].ETag });
        (await viewer.NextAsync()).GetProperty("op").GetString().ShouldBe("error");
        await viewer.SendAsync(new { op = "applied", id = 1, release = viewer.Held[1].Release + 1, etag = viewer.Held[1].ETag });
        (await viewer.NextAsync()).GetProperty("op").GetString().ShouldBe("error");
        (await FleetAsync(server)).ShouldAllBe(i => !i.GetProperty("current").GetBoolean());
        await ReportAsync(viewer, "applied");
        await ReportAsync(reader, "applied");
        (await FleetAsync(server)).ShouldAllBe(i => i.GetProperty("current").GetBoolean());
    }

    [Fact]
    public async Task An_instance_that_comes_back_stands_once_and_one_that_is_gone_does_not()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var reader = await server.AsAsync("reader");
        await using var old = await TestWatcher.ConnectAsync(server, reader.Token, "pod");
        await old.SubscribeAsync(1, "shop/dev");
        await ReportAsync(old, "applied");
        await using (var next = await TestWatcher.ConnectAsync(server, reader.Token, "pod"))
        {
            next.Held[1] = old.Held[1];
            await next.SubscribeAsync(1, "shop/dev");
            // What the old connection said is not the new one's.
            (await FleetAsync(server)).ShouldHaveSingleItem().GetProperty("current").GetBoolean().ShouldBeFalse();
            await ReportAsync(next, "applied");
            (await FleetAsync(server)).ShouldHaveSingleItem().GetProperty("current").GetBoolean().ShouldBeTrue();
            await next.Socket.CloseAsync(System.Net.WebSockets.WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        }
        await old.Socket.CloseAsync(System.Net.WebSockets.WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        for (var tries = 0; (await FleetAsync(server)).Count > 0; tries++) tries.ShouldBeLessThan(1000);
    }

    [Fact]
    public async Task The_fleet_of_what_one_may_not_read_or_what_does_not_exist_is_refused()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await (await server.AsAsync("reader", t => t with { Services = ["other"] })).GetAsync("/v1/fleet/shop/dev")).ShouldBe(403, "forbidden");
        (await server.Admin.GetAsync("/v1/fleet/none/dev")).ShouldBe(404, "not-found");
        (await FleetAsync(server)).ShouldBeEmpty();
    }

    private static async Task ReportAsync(TestWatcher watcher, string op, string? reason = null)
    {
        await watcher.SendAsync(new { op, id = 1, release = watcher.Held[1].Release, etag = watcher.Held[1].ETag, reason });
        await watcher.IsQuietAsync();
    }

    private static async Task<List<JsonElement>> FleetAsync(TestServer server) =>
        [.. (await server.Admin.GetAsync("/v1/fleet/shop/dev")).Ok().Json.GetProperty("items").EnumerateArray()];

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "color: red\n"));
}
