using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using Lockstep.Push;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

/// <summary>Watchers who say nonsense, too much, or nothing; who do not read; and pages of other sites.</summary>
[Trait("speed", "medium")]
public sealed class HostileWatcherTests
{
    [Theory]
    [InlineData("")]
    [InlineData("garbage")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"op":"dance"}""")]
    [InlineData("""{"op":"subscribe","id":1,"service":"shop"}""")]
    [InlineData("""{"op":"subscribe","id":-1,"service":"shop","environment":"dev"}""")]
    [InlineData("""{"op":"subscribe","id":"1","service":"shop","environment":"dev"}""")]
    [InlineData("""{"op":"subscribe","id":1,"service":"shop","environment":"dev","extra":1}""")]
    [InlineData("""{"op":"subscribe","id":1,"id":2,"service":"shop","environment":"dev"}""")]
    [InlineData("""{"op":"subscribe","id":1,"service":"shop","environment":"dev","release":0}""")]
    [InlineData("""{"op":"subscribe","id":99999999999,"service":"shop","environment":"dev"}""")]
    [InlineData("""{"op":"unsubscribe","id":1,"service":"shop"}""")]
    [InlineData("""{"op":"hello"}""")]
    [InlineData("""{"op":"applied","id":5,"release":999,"etag":"W/\"made-up\""}""")]
    public async Task A_frame_that_makes_no_sense_is_told_and_the_third_ends_the_connection(string text)
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await watcher.SubscribeAsync(5, "shop/dev");
        for (var n = 0; n < 3; n++)
        {
            await watcher.SendTextAsync(text);
            var error = await watcher.NextAsync();
            error.GetProperty("op").GetString().ShouldBe("error");
            error.GetProperty("id").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Null);
            error.GetProperty("code").GetString().ShouldBe("bad-request");
            error.GetProperty("detail").GetString().ShouldNotBeNullOrEmpty();
        }
        (await watcher.ClosedAsync()).ShouldBe(1008);
    }

    [Fact]
    public async Task Binary_messages_are_bad_frames()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        for (var n = 0; n < 3; n++) await watcher.SendTextAsync(new string('x', 5000), WebSocketMessageType.Binary);
        for (var n = 0; n < 3; n++) (await watcher.NextAsync()).GetProperty("op").GetString().ShouldBe("error");
        (await watcher.ClosedAsync()).ShouldBe(1008);
    }

    [Fact]
    public async Task A_frame_of_a_hundred_megabytes_is_not_taken_in()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        var part = new byte[1024 * 1024];
        var closed = watcher.ClosedAsync();
        try
        {
            for (var n = 0; n < 100 && !closed.IsCompleted; n++) await watcher.Socket.SendAsync(part, WebSocketMessageType.Text, endOfMessage: n == 99, CancellationToken.None);
        }
        catch (Exception e) when (e is WebSocketException or IOException or ObjectDisposedException)
        {
            // The server hung up while this was still talking.
        }
        (await closed).ShouldBe(1009);
        await using var next = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await next.SubscribeAsync(1, "shop/dev");
    }

    [Fact]
    public async Task A_thousand_subscriptions_are_refused_one_by_one_and_the_first_stay()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        var answers = new List<string>();
        for (var id = 0; id < 1000; id++) answers.Add((await watcher.SubscribeAsync(id, "shop/dev")).GetProperty("op").GetString()!);
        answers.Count(a => a == "snapshot").ShouldBe(WatchLimits.MaxSubscriptions);
        answers.Count(a => a == "error").ShouldBe(1000 - WatchLimits.MaxSubscriptions);
        repository.Commit(("shop.yml", "color: blue\n"));
        await server.RefreshAsync();
        for (var n = 0; n < WatchLimits.MaxSubscriptions; n++) (await watcher.NextAsync()).GetProperty("op").GetString().ShouldBe("change");
    }

    [Fact]
    public async Task Who_does_not_read_holds_nobody_up_costs_little_and_gets_one_change_for_many()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var fast = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await fast.SubscribeAsync(1, "shop/dev");
        using var lazy = await LazyWatcher.ConnectAsync(server, server.Admin.Token!, "shop", "dev");
        // More than all buffers in between hold.
        for (var n = 0; n < 40; n++)
        {
            repository.Commit(("shop.yml", $"n: {n}\nbig: {new string((char)('a' + (n % 26)), 400_000)}\n"));
            await server.RefreshAsync();
            await fast.UntilAsync(w => w.Held[1]["n"] == $"{n}");
        }
        var changes = await lazy.ReadUntilAsync("\"n\":39");
        changes.ShouldBeLessThan(40);
    }

    [Fact]
    public async Task Who_does_not_read_for_too_long_is_ended()
    {
        using var repository = Repository();
        var time = new ManualTime(timers: true);
        await using var server = await TestServer.StartAsync(repository, time: time);
        using var lazy = await LazyWatcher.ConnectAsync(server, server.Admin.Token!, "shop", "dev");
        await lazy.ReadUntilAsync("\"color\":\"red\"");
        for (var n = 0; n < 20; n++)
        {
            repository.Commit(("shop.yml", $"n: {n}\nbig: {new string((char)('a' + n), 1_000_000)}\n"));
            await server.RefreshAsync();
        }
        for (var tries = 0; !await lazy.IsEndedAsync(); tries++)
        {
            tries.ShouldBeLessThan(1000);
            time.Advance(TimeSpan.FromSeconds(5));
        }
        (await server.Admin.GetAsync("/metrics")).Text.ShouldContain("lockstep_watch_closed_total{code=\"4408\"}");
    }

    [Fact]
    public async Task Without_a_hello_in_time_or_with_something_else_first_the_connection_ends()
    {
        using var repository = Repository();
        var time = new ManualTime(timers: true);
        await using var server = await TestServer.StartAsync(repository, time: time);
        await using var silent = await TestWatcher.OpenAsync(server, server.Admin.Token);
        await using var hasty = await TestWatcher.OpenAsync(server, server.Admin.Token);
        await hasty.SendAsync(new { op = "subscribe", id = 1, service = "shop", environment = "dev" });
        (await hasty.NextAsync()).GetProperty("op").GetString().ShouldBe("error");
        (await hasty.ClosedAsync()).ShouldBe(1008);
        var ended = silent.NextOrCloseAsync();
        while (!ended.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.WhenAny(ended, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System));
        }
        await Should.ThrowAsync<WebSocketException>(ended);
    }

    [Fact]
    public async Task What_is_watched_is_not_forgotten_and_what_is_left_is()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        (await server.Admin.ConfigAsync("shop/prod")).Ok();
        var later = TimeProvider.System.GetUtcNow().AddDays(1);
        (await server.Gate.Lane.ForgetAsync(later, CancellationToken.None)).Select(d => d.ToString()).ShouldBe(["shop/prod"]);
        await watcher.SendAsync(new { op = "unsubscribe", id = 1 });
        await watcher.IsQuietAsync();
        (await server.Gate.Lane.ForgetAsync(later, CancellationToken.None)).Select(d => d.ToString()).ShouldBe(["shop/dev"]);
    }

    [Fact]
    public async Task Connections_without_a_token_yet_are_few_and_leave_room_when_they_have_gone()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var waiting = new List<TestWatcher>();
        for (var n = 0; n < WatchLimits.MaxUnauthenticated; n++) waiting.Add(await TestWatcher.OpenAsync(server, null));
        await using (var late = await TestWatcher.OpenAsync(server, null)) (await late.ClosedAsync()).ShouldBe(1013);
        // Those with a token in the header do not count.
        await using (var known = await TestWatcher.ConnectAsync(server, server.Admin.Token)) await known.SubscribeAsync(1, "shop/dev");
        foreach (var one in waiting) await one.DisposeAsync();
        for (var tries = 0; ; tries++)
        {
            await using var next = await TestWatcher.OpenAsync(server, null);
            await next.SendAsync(new { op = "hello", token = server.Admin.Token });
            if (await next.NextOrCloseAsync() is { } welcome)
            {
                welcome.GetProperty("op").GetString().ShouldBe("welcome");
                break;
            }
            tries.ShouldBeLessThan(1000);
        }
    }

    [Theory]
    [InlineData("https://evil.example", false)]
    [InlineData("null", false)]
    [InlineData("http://127.0.0.1:1", false)]
    [InlineData("", true)]
    public async Task A_page_of_another_origin_is_refused(string origin, bool own)
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var page = own ? server.Server.Address : origin;
        var opening = TestWatcher.OpenAsync(server, null, o => o.SetRequestHeader("Origin", page));
        if (own)
        {
            await using var watcher = await opening;
            await watcher.SendAsync(new { op = "hello", token = server.Admin.Token });
            (await watcher.NextAsync()).GetProperty("op").GetString().ShouldBe("welcome");
        }
        else
        {
            (await Should.ThrowAsync<WebSocketException>(opening)).Message.ShouldContain("403");
            (await server.Admin.GetAsync("/v1/watch?service=shop&env=dev", ("Accept", "text/event-stream"), ("Origin", page))).ShouldBe(403, "forbidden");
        }
    }

    [Fact]
    public async Task What_is_neither_a_WebSocket_nor_asks_for_events_is_told_what_this_is()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.GetAsync("/v1/watch")).ShouldBe(400, "bad-request");
        (await server.Nobody.GetAsync("/v1/watch", ("Accept", "text/event-stream"))).ShouldBe(401, "unauthenticated");
        (await server.Admin.GetAsync("/v1/watch?service=shop", ("Accept", "text/event-stream"))).ShouldBe(400, "bad-request");
        (await server.Admin.GetAsync("/v1/watch?service=shop&env=dev&token=x", ("Accept", "text/event-stream"))).ShouldBe(400, "bad-request");
        (await server.Admin.GetAsync("/v1/watch?service=none&env=dev", ("Accept", "text/event-stream"))).ShouldBe(404, "not-found");
        using var without = new ClientWebSocket();
        without.Options.SetRequestHeader("Authorization", "Bearer " + server.Admin.Token);
        var address = new Uri(server.Server.Address.Replace("http", "ws", StringComparison.Ordinal) + "/v1/watch");
        (await Should.ThrowAsync<WebSocketException>(() => without.ConnectAsync(address, CancellationToken.None))).Message.ShouldContain("400");
    }

    [Fact]
    public async Task A_token_without_config_read_may_not_watch()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository, o => o with
        {
            Roles = [new RoleOptions { Name = "auditor", Permissions = ["audit:read"] }],
        });
        var auditor = await server.AsAsync("auditor");
        (await Should.ThrowAsync<WebSocketException>(() => TestWatcher.OpenAsync(server, auditor.Token))).Message.ShouldContain("403");
        await using var watcher = await TestWatcher.OpenAsync(server, null);
        await watcher.SendAsync(new { op = "hello", token = auditor.Token });
        (await watcher.ClosedAsync()).ShouldBe(4403);
    }

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "color: red\n"));

    /// <summary>A WebSocket by hand that reads only when told to.</summary>
    private sealed class LazyWatcher(TcpClient tcp) : IDisposable
    {
        public static async Task<LazyWatcher> ConnectAsync(TestServer server, string token, string service, string environment)
        {
            var address = new Uri(server.Server.Address);
            var tcp = new TcpClient { ReceiveBufferSize = 4096 };
            await tcp.ConnectAsync(address.Host, address.Port);
            var stream = tcp.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"GET /v1/watch HTTP/1.1\r\nHost: {address.Authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: lockstep.v1\r\n"
                + $"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {token}\r\n\r\n"));
            await stream.WriteAsync(Masked("{\"op\":\"hello\"}"));
            await stream.WriteAsync(Masked($$"""{"op":"subscribe","id":1,"service":"{{service}}","environment":"{{environment}}"}"""));
            return new LazyWatcher(tcp);
        }

        /// <summary>Reads everything up to a text; the number of changes on the way.</summary>
        public async Task<int> ReadUntilAsync(string text)
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
            var (all, buffer) = (new StringBuilder(), new byte[64 * 1024]);
            while (!all.ToString().Contains(text, StringComparison.Ordinal))
            {
                var read = await tcp.GetStream().ReadAsync(buffer, deadline.Token);
                read.ShouldBePositive("the connection ended before the newest came");
                // The long runs are of no interest.
                all.Append(Encoding.Latin1.GetString(buffer, 0, read).Replace("aaaaaaaa", "", StringComparison.Ordinal));
            }
            return all.ToString().Split("\"op\":\"change\"").Length - 1;
        }

        /// <summary>Whether the other side has given up: told by a write, so that nothing is read.</summary>
        public async Task<bool> IsEndedAsync()
        {
            try
            {
                await tcp.GetStream().WriteAsync(Masked("{\"op\":\"unsubscribe\",\"id\":9}"));
                await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System);
                return false;
            }
            catch (IOException)
            {
                return true;
            }
        }

        public void Dispose() => tcp.Dispose();

        private static byte[] Masked(string text) => [0x81, (byte)(0x80 | text.Length), 0, 0, 0, 0, .. Encoding.ASCII.GetBytes(text)];
    }
}
