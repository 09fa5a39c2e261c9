using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>How a store gets and keeps a connection.</summary>
[Trait("speed", "medium")]
public sealed class LockstepStoreConnectionTests
{
    [Fact]
    public async Task The_next_server_is_asked_when_one_does_not_answer()
    {
        var gone = await FakeWatchServer.StartAsync();
        var nobody = gone.Address;
        await gone.DisposeAsync();
        await using var one = await FakeWatchServer.StartAsync();
        await using var two = await FakeWatchServer.StartAsync();
        var opening = LockstepStore.OpenAsync(StoreBench.Options(nobody, one.Address, two.Address));
        var first = await one.ServeAsync(1, """{"a":1}""");
        await using var store = await opening;
        one.Refuse = _ => 503;
        await first.CloseAsync(1012);
        var second = await two.GreetAsync();
        second.Subscribed.GetProperty("etag").GetString().ShouldBe("t1");
        await second.CurrentAsync(1, "t1");
        await second.ChangeAsync(1, 2, """{"a":2}""");
        await Poll.UntilAsync(() => store.Current.Text("a") == "2", "the change");
    }

    [Fact]
    public async Task A_plain_call_goes_to_the_next_server_too()
    {
        var gone = await FakeServer.StartAsync("{}");
        var nobody = gone.Address;
        await gone.DisposeAsync();
        await using var server = await FakeServer.StartAsync("""{"id":"x","version":1,"release":2}""");
        using var client = new LockstepClient(new LockstepClientOptions { Addresses = [nobody, server.Address], Token = _ => new(StoreBench.Token), Instance = "node-1" });
        await client.PutSecretAsync("a/b", new SecretPut { Value = System.Text.Json.JsonElement.Parse("\"v\"") });
        await client.GetSecretAsync("a/b");
        client.Address.ShouldBe(server.Address);
        server.Requests.Select(r => $"{r} {r.Body}".TrimEnd()).ShouldBe(["""PUT /v1/secrets/a/b {"value":"v"}""", "GET /v1/secrets/a/b"]);
        server.Requests.ShouldAllBe(r => r.Headers.Authorization == "Bearer " + StoreBench.Token && r.Headers["Lockstep-Instance"] == "node-1");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_server_that_accepts_no_connections_is_passed_over()
    {
        // A listener whose queue is full lets connections hang.
        using var full = new TcpListener(IPAddress.Loopback, 0);
        full.Start(1);
        var port = ((IPEndPoint)full.LocalEndpoint).Port;
        var waiting = Enumerable.Range(0, 8).Select(_ => new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { Blocking = false }).ToArray();
        foreach (var socket in waiting) Should.Throw<SocketException>(() => socket.Connect(IPAddress.Loopback, port)).SocketErrorCode.ShouldBe(SocketError.WouldBlock);
        await using var server = await FakeServer.StartAsync("""{"id":"x"}""");
        using var client = new LockstepClient(new LockstepClientOptions { Addresses = [new Uri($"http://127.0.0.1:{port}"), server.Address] });
        await client.GetSecretAsync("a/b");
        server.Requests.Count.ShouldBe(1);
        foreach (var socket in waiting) socket.Dispose();
    }

    [Fact]
    public async Task A_call_that_the_server_took_is_not_made_again_elsewhere()
    {
        await using var broken = await FakeServer.StartAsync(context =>
        {
            context.Abort();
            return Task.CompletedTask;
        });
        await using var server = await FakeServer.StartAsync("""{"id":"x"}""");
        using var client = new LockstepClient(new LockstepClientOptions { Addresses = [broken.Address, server.Address] });
        (await Should.ThrowAsync<LockstepException>(() => client.GetSecretAsync("a/b"))).Code.ShouldBe(ErrorCode.Unavailable);
        server.Requests.ShouldBeEmpty();
    }

    [Fact]
    public async Task Goodbye_says_when_to_come_back()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        var clock = Stopwatch.StartNew();
        await first.SendAsync("""{"op":"goodbye","reason":"restarting","retryAfterMs":300}""");
        await Poll.UntilAsync(() => store.Status is { Connected: false, Reason: { } reason } && reason.Contains("restarting", StringComparison.Ordinal), "the goodbye");
        await server.GreetAsync();
        clock.ElapsedMilliseconds.ShouldBeGreaterThanOrEqualTo(290);
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("[]")]
    [InlineData("""{"id":1}""")]
    [InlineData("""{"op":"change","id":1,"from":1,"release":2,"set":{"a":2,"a":3},"etag":"t2","commit":null}""")]
    [InlineData("""{"op":"snapshot","id":1,"etag":"t2"}""")]
    [InlineData("""{"op":"stale","id":1,"since":3}""")]
    [InlineData("""{"op":"change","id":1,"from":1,"release":2,"set":{"a":"\uD800"},"etag":"t2","commit":null}""")]
    [InlineData("""{"op":"change","id":1,"from":1,"release":2,"set":{"\uD800":1},"etag":"t2","commit":null}""")]
    [InlineData("""{"op":"stale","id":1,"since":null} {}""")]
    public async Task A_frame_that_is_none_ends_the_connection_and_the_next_one_goes_on(string frame)
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        await first.SendAsync("""{"op":"from-the-future","id":"x","values":3}""");
        await first.SendAsync("""{"op":"stale","id":99,"since":null,"from-the-future":{}}""");
        await first.SendAsync(frame);
        await first.Gone;
        var second = await server.GreetAsync();
        await second.CurrentAsync(1, "t1");
        await second.ChangeAsync(1, 2, """{"a":2}""");
        await Poll.UntilAsync(() => store.Current.Text("a") == "2", "the change");
    }

    [Fact]
    public async Task A_frame_without_end_is_cut_off()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        try
        {
            // One that would be skipped if it were read.
            await first.SendAsync($$"""{"op":"from-the-future","x":"{{new string('x', 33 * 1024 * 1024)}}"}""");
        }
        catch (Exception e) when (e is System.Net.WebSockets.WebSocketException or IOException or OperationCanceledException)
        {
            // Cut off while it was still sending.
        }
        await first.Gone;
        await server.GreetAsync();
    }

    [Fact]
    public async Task A_connection_whose_other_end_is_dead_is_given_up()
    {
        await using var server = await FakeWatchServer.StartAsync();
        server.Deaf = true;
        var options = StoreBench.Options(server.Address);
        var opening = LockstepStore.OpenAsync(options with { Timing = options.Timing with { KeepAlive = TimeSpan.FromMilliseconds(200) } });
        var dead = await server.AcceptAsync();
        server.Deaf = false;
        await dead.SendAsync("""{"op":"welcome","epoch":"e1","pingMs":20000,"maxFrame":65536,"maxSubscriptions":100}""");
        await server.ServeAsync(1, """{"a":1}""");
        await using var store = await opening;
    }

    [Fact]
    public async Task A_server_that_goes_back_in_the_same_history_is_left()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        await first.ChangeAsync(1, 5, """{"a":5}""");
        await Poll.UntilAsync(() => store.Current.Release == 5, "the change");
        first.Abort();
        var behind = await server.ServeAsync(4, """{"a":4}""");
        await behind.Gone;
        store.Current.Text("a").ShouldBe("5");
        await server.ServeAsync(6, """{"a":6}""");
        await Poll.UntilAsync(() => store.Current.Text("a") == "6", "the later one");
    }

    [Fact]
    public async Task What_can_not_be_had_yet_is_waited_for()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var opening = LockstepStore.OpenAsync(StoreBench.Options(server.Address));
        var connection = await server.GreetAsync();
        await connection.ErrorAsync("invalid-config", "a.yml:3: no");
        await connection.ErrorAsync("unavailable", "vault does not answer");
        opening.IsCompleted.ShouldBeFalse();
        await connection.SnapshotAsync(3, """{"a":3}""");
        await using var store = await opening;
        var seen = new ConcurrentQueue<StoreStatus>();
        store.StatusChanged += (_, status) => seen.Enqueue(status);
        await connection.ErrorAsync("not-found", "it was deleted");
        await Poll.UntilAsync(() => seen.Any(s => !s.Connected && s.Reason == "it was deleted"), "the status");
        store.Current.Text("a").ShouldBe("3");
        await connection.SendAsync($$"""{"op":"stale","id":{{connection.Id}},"since":"2030-01-02T03:04:05Z","reason":"git does not answer"}""");
        await Poll.UntilAsync(() => store.Current.Stale?.Reason == "git does not answer", "stale");
        await connection.SendAsync($$"""{"op":"stale","id":{{connection.Id}},"since":null,"reason":null}""");
        await Poll.UntilAsync(() => store.Current.Stale is null && store.Status is { Connected: true, Reason: null }, "up to date again");
    }

    [Fact]
    public async Task Without_a_document_in_time_opening_fails_with_what_went_wrong_last()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var opening = LockstepStore.OpenAsync(StoreBench.Options(server.Address) with { StartTimeout = TimeSpan.FromSeconds(2) });
        var connection = await server.GreetAsync();
        await connection.ErrorAsync("invalid-config", "a.yml:3: no");
        var e = await Should.ThrowAsync<LockstepException>(() => opening);
        (e.Code, e.Message).ShouldBe((ErrorCode.InvalidConfig, "a.yml:3: no"));
        await connection.Gone;

        using var cancelled = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Should.ThrowAsync<OperationCanceledException>(() => LockstepStore.OpenAsync(StoreBench.Options(server.Address), cancelled.Token));
    }

    [Fact]
    public async Task Watching_yields_whole_documents_and_ends_when_it_is_refused()
    {
        await using var server = await FakeWatchServer.StartAsync();
        using var client = new LockstepClient(StoreBench.Options(server.Address).Client);
        await using var documents = client.WatchAsync("payments", "production", "main").GetAsyncEnumerator();
        var next = documents.MoveNextAsync().AsTask();
        var connection = await server.ServeAsync(1, """{"a":1,"b":1}""");
        connection.Subscribed.GetProperty("label").GetString().ShouldBe("main");
        (await next).ShouldBeTrue();
        documents.Current.Text("a").ShouldBe("1");
        next = documents.MoveNextAsync().AsTask();
        await connection.ChangeAsync(1, 2, "{}");
        await connection.ChangeAsync(2, 3, """{"a":2}""", """["b"]""");
        (await next).ShouldBeTrue();
        documents.Current.Values.Keys.ShouldBe(["a"]);
        next = documents.MoveNextAsync().AsTask();
        await connection.ErrorAsync("forbidden", "no");
        (await Should.ThrowAsync<LockstepException>(() => next)).Code.ShouldBe(ErrorCode.Forbidden);
        await connection.Gone;
    }
}
