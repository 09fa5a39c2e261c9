using System.Collections.Concurrent;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

public sealed class LockstepStoreTests
{
    [Fact]
    public async Task The_first_document_is_waited_for_and_a_change_is_seen_whole()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1,"b":"x","c":true}""");
        await using var _ = store;
        connection.Authorization.ShouldBe("Bearer " + StoreBench.Token);
        (store.Current.Release, store.Current.Text("b")).ShouldBe((1, "x"));
        store.Status.Connected.ShouldBeTrue();
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) => changes.Enqueue(change);
        await connection.ReadAsync("applied");
        await connection.ChangeAsync(1, 9, """{"aa":2,"b":"y"}""", """["c"]""", ""","pinned":3,"secrets":["aa"]""");
        await Poll.UntilAsync(() => changes.Count == 1, "the change");
        var change = changes.Single();
        change.Keys.ShouldBe(["aa", "b", "c"]);
        change.New.Values.Keys.ShouldBe(["a", "aa", "b"]);
        (change.Old.Release, change.New.Release, change.New.Pinned, change.New.Secrets.Single()).ShouldBe((1, 9, 3, "aa"));
        store.Current.ShouldBeSameAs(change.New);
        var applied = await connection.ReadAsync("applied");
        (applied.GetProperty("release").GetInt64(), applied.GetProperty("etag").GetString()).ShouldBe((9, "t9"));
    }

    [Fact]
    public async Task A_reconnect_names_what_is_held_and_identical_data_raises_nothing()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) => changes.Enqueue(change);
        await first.ReadAsync("applied");
        first.Abort();

        var second = await server.GreetAsync();
        (second.Subscribed.GetProperty("etag").GetString(), second.Subscribed.GetProperty("release").GetInt64()).ShouldBe(("t1", 1));
        await second.CurrentAsync(4, "t1");
        var applied = await second.ReadAsync("applied");
        applied.GetProperty("release").GetInt64().ShouldBe(4);
        second.Abort();

        var third = await server.GreetAsync();
        third.Subscribed.GetProperty("release").GetInt64().ShouldBe(4);
        await third.SnapshotAsync(6, """{"a":1}""");
        (await third.ReadAsync("applied")).GetProperty("release").GetInt64().ShouldBe(6);
        changes.ShouldBeEmpty();
        await third.ChangeAsync(6, 7, """{"a":2}""");
        await third.ReadAsync("applied");
        changes.Single().Keys.ShouldBe(["a"]);
    }

    [Fact]
    public async Task A_change_from_another_release_makes_it_subscribe_anew()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        await connection.ReadAsync("applied");
        var old = connection.Id;
        await connection.ChangeAsync(3, 4, """{"a":4}""");
        (await connection.ReadAsync("unsubscribe")).GetProperty("id").GetInt32().ShouldBe(old);
        (await connection.ReadSubscribeAsync()).TryGetProperty("etag", out JsonElement _).ShouldBeFalse();
        connection.Id.ShouldNotBe(old);
        store.Current.Text("a").ShouldBe("1");
        await connection.SendAsync($$"""{"op":"change","id":{{old}},"from":1,"release":5,"commit":"c","etag":"t5","set":{"a":5},"unset":[]}""");
        await connection.SnapshotAsync(6, """{"a":6}""");
        (await connection.ReadAsync("applied")).GetProperty("release").GetInt64().ShouldBe(6);
        store.Current.Text("a").ShouldBe("6");
    }

    [Fact]
    public async Task Another_epoch_starts_from_nothing()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        await first.ChangeAsync(1, 50, """{"a":50}""");
        await Poll.UntilAsync(() => store.Current.Release == 50, "the change");
        first.Abort();
        var second = await server.GreetAsync("e2");
        second.Subscribed.TryGetProperty("etag", out JsonElement _).ShouldBeFalse();
        second.Subscribed.TryGetProperty("release", out JsonElement _).ShouldBeFalse();
        store.Current.Release.ShouldBe(50);
        await second.SnapshotAsync(2, """{"a":2}""");
        await Poll.UntilAsync(() => store.Current.Release == 2, "the document of the new history");
    }
}
