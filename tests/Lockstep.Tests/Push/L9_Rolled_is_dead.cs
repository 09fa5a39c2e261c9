using System.Net.WebSockets;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

public sealed class L9_Rolled_is_dead
{
    [Theory]
    [InlineData("roll")]
    [InlineData("revoke")]
    public async Task Its_sockets_are_closed_with_4401_and_are_sent_nothing_more(string how)
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("db", "before")).Ok();
        var (mine, other) = (await server.AsAsync("reader"), await server.AsAsync("reader"));
        var dead = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => WatchAsync(server, mine.Token)));
        await using var alive = await WatchAsync(server, other.Token);
        using var events = await EventsAsync(server, mine.Token!);
        (how == "roll" ? await server.Admin.PostAsync($"/v1/tokens/{mine.Name}/roll") : await server.Admin.DeleteAsync($"/v1/tokens/{mine.Name}")).Ok();
        (await server.PutValueAsync("db", "after")).Ok();
        foreach (var watcher in dead)
        {
            (await watcher.ClosedAsync()).ShouldBe(4401);
            watcher.Held[1]["password"].ShouldBe("before");
            await watcher.DisposeAsync();
        }
        (await events.ReadToEndAsync()).ShouldNotContain("after");
        await alive.UntilAsync(w => w.Held[1]["password"] == "after");
        (await Should.ThrowAsync<WebSocketException>(() => TestWatcher.OpenAsync(server, mine.Token))).Message.ShouldContain("401");
        await using var late = await TestWatcher.OpenAsync(server, null);
        await late.SendAsync(new { op = "hello", token = mine.Token });
        (await late.ClosedAsync()).ShouldBe(4401);
    }

    [Fact]
    public async Task With_grace_those_with_the_old_secret_end_with_it_also_when_they_came_after_the_roll()
    {
        using var repository = Repository();
        var time = new ManualTime(timers: true);
        await using var server = await TestServer.StartAsync(repository, time: time);
        (await server.PutAsync("db", "before")).Ok();
        var old = await server.AsAsync("reader");
        await using var early = await WatchAsync(server, old.Token);
        var rolled = (await server.Admin.PostAsync($"/v1/tokens/{old.Name}/roll?grace=60s")).Ok();
        await using var during = await WatchAsync(server, old.Token);
        await using var after = await WatchAsync(server, rolled.Json.GetProperty("token").GetString());
        (await server.PutValueAsync("db", "in grace")).Ok();
        foreach (var watcher in new[] { early, during, after }) await watcher.UntilAsync(w => w.Held[1]["password"] == "in grace");
        time.Advance(TimeSpan.FromSeconds(61));
        (await early.ClosedAsync()).ShouldBe(4401);
        (await during.ClosedAsync()).ShouldBe(4401);
        (await server.PutValueAsync("db", "past it")).Ok();
        await after.UntilAsync(w => w.Held[1]["password"] == "past it");
    }

    [Fact]
    public async Task A_token_that_expires_takes_its_sockets_along()
    {
        using var repository = Repository();
        var time = new ManualTime(timers: true);
        await using var server = await TestServer.StartAsync(repository, time: time);
        (await server.PutAsync("db", "before")).Ok();
        var brief = await server.AsAsync("reader", t => t with { ExpiresIn = TimeSpan.FromMinutes(5) });
        await using var watcher = await WatchAsync(server, brief.Token);
        time.Advance(TimeSpan.FromMinutes(5));
        (await watcher.ClosedAsync()).ShouldBe(4401);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("speed", "medium")]
    public Task Whatever_happens_around_it_a_dead_token_is_sent_nothing_new(int seed) => RunAsync(seed, 40);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [Trait("speed", "long")]
    public Task Whatever_happens_around_it_a_dead_token_is_sent_nothing_new_at_length(int seed) => RunAsync(seed, 400);

    // Tokens end in the middle of a storm of watchers that come, go and come back, while the secret changes all the time.
    private static async Task RunAsync(int seed, int operations)
    {
        var random = new Random(seed);
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("db", "0")).Ok();
        using var stop = new CancellationTokenSource();
        var written = 0;
        var writing = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
            {
                var next = written + 1;
                (await server.PutValueAsync("db", $"{next}")).Ok();
                Volatile.Write(ref written, next);
            }
        });
        for (var n = 0; n < operations; n++)
        {
            var token = await server.AsAsync("reader");
            using var ended = new CancellationTokenSource();
            var storm = Enumerable.Range(0, 8).Select(i => StormAsync(server, token.Token!, new Random((seed * 10_000) + (n * 10) + i), ended.Token)).ToList();
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(30)), TimeProvider.System);
            (random.Next(2) == 0 ? await server.Admin.PostAsync($"/v1/tokens/{token.Name}/roll") : await server.Admin.DeleteAsync($"/v1/tokens/{token.Name}")).Ok();
            // A value that was being written when the answer came may have left before it; one that was begun after it may not.
            var last = Volatile.Read(ref written) + 1;
            await server.PutValueAsync("db2", "x");
            foreach (var seen in await Task.WhenAll(storm)) seen.ShouldBeLessThanOrEqualTo(last, $"seed {seed}, operation {n}");
        }
        await stop.CancelAsync();
        await writing;
    }

    // The newest value that was seen until the token was refused.
    private static async Task<int> StormAsync(TestServer server, string token, Random random, CancellationToken cancellationToken)
    {
        var seen = 0;
        HeldDocument? held = null;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                await using var watcher = await TestWatcher.ConnectAsync(server, token);
                if (held is not null) watcher.Held[1] = held;
                await watcher.SubscribeAsync(1, "shop/dev");
                for (var n = random.Next(6); n >= 0; n--)
                {
                    if (watcher.Held.TryGetValue(1, out held)) seen = Math.Max(seen, int.Parse(held["password"]!, System.Globalization.CultureInfo.InvariantCulture));
                    if (await watcher.NextOrCloseAsync() is null && (int?)watcher.CloseStatus == 4401)
                        return watcher.Held.TryGetValue(1, out held) ? Math.Max(seen, int.Parse(held["password"]!, System.Globalization.CultureInfo.InvariantCulture)) : seen;
                }
            }
            catch (WebSocketException e) when (e.Message.Contains("401", StringComparison.Ordinal))
            {
                return seen;
            }
            catch (Exception e) when (e is WebSocketException or InvalidOperationException or IOException)
            {
                // Closed in between.
            }
        }
        return seen;
    }

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "password: ${secret:db}\n"));

    private static async Task<TestWatcher> WatchAsync(TestServer server, string? token)
    {
        var watcher = await TestWatcher.ConnectAsync(server, token);
        (await watcher.SubscribeAsync(1, "shop/dev")).GetProperty("op").GetString().ShouldBe("snapshot");
        return watcher;
    }

    private static async Task<StreamReader> EventsAsync(TestServer server, string token)
    {
        var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Authorization", "Bearer " + token);
        http.DefaultRequestHeaders.Add("Accept", "text/event-stream");
        return new StreamReader(await http.GetStreamAsync(new Uri($"{server.Server.Address}/v1/watch?service=shop&env=dev")));
    }
}
