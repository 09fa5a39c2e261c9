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
    [InlineData("kill")]
    [InlineData("roll its parent")]
    public async Task Its_sockets_are_closed_with_4401_and_are_sent_nothing_more(string how)
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("db", "before")).Ok();
        var (mine, other) = (await server.AsAsync("reader", t => t with { Services = ["shop"] }), await server.AsAsync("reader"));
        var parent = mine;
        if (how == "roll its parent") mine = new TestCaller(server, (await parent.PostAsync("/v1/tokens/derive", new { })).Ok().Json.GetProperty("token").GetString());
        var dead = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => WatchAsync(server, mine.Token)));
        await using var alive = await WatchAsync(server, other.Token);
        using var events = await EventsAsync(server, mine.Token!);
        if (how == "kill")
        {
            // Whoever could be used for the service, so the other is given back its life.
            (await server.Admin.PostAsync("/v1/kill", new { services = new[] { "shop" } })).Ok().Json.GetProperty("tokens").GetArrayLength().ShouldBe(2);
            (await alive.ClosedAsync()).ShouldBe(4401);
            other = new TestCaller(server, (await server.Admin.PostAsync($"/v1/tokens/{other.Name}/roll")).Ok().Json.GetProperty("token").GetString());
        }
        else
        {
            (how == "revoke" ? await server.Admin.DeleteAsync($"/v1/tokens/{mine.Name}") : await server.Admin.PostAsync($"/v1/tokens/{parent.Name}/roll")).Ok();
        }
        (await server.PutValueAsync("db", "after")).Ok();
        foreach (var watcher in dead)
        {
            (await watcher.ClosedAsync()).ShouldBe(4401);
            watcher.Held[1]["password"].ShouldBe("before");
            await watcher.DisposeAsync();
        }
        (await events.ReadToEndAsync()).ShouldNotContain("after");
        await using var again = how == "kill" ? await WatchAsync(server, other.Token) : null;
        await (again ?? alive).UntilAsync(w => w.Held[1]["password"] == "after");
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
            catch (WebSocketException e) when (e.Message.Contains("401", StringComparison.Ordinal) || e.Message.Contains("429", StringComparison.Ordinal))
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

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("speed", "medium")]
    public Task After_a_kill_no_secret_leaves_to_whom_it_ended_amid_reads_derives_and_pushes(int seed) => KillAsync(seed, 12);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [Trait("speed", "long")]
    public Task After_a_kill_no_secret_leaves_to_whom_it_ended_amid_reads_derives_and_pushes_at_length(int seed) => KillAsync(seed, 150);

    // A value is named after the number of kills and changes before it was begun: what a dead token was answered is not of after its kill.
    private static async Task KillAsync(int seed, int kills)
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
        var survivor = await server.AsAsync("reader", t => t with { Services = ["other"], Secrets = ["none"] });
        for (var n = 0; n < kills; n++)
        {
            var token = await server.AsAsync("reader", t => t with { Services = ["shop"] });
            var storms = Enumerable.Range(0, 3).Select(i => StormAsync(server, token.Token!, new Random((seed * 10_000) + (n * 10) + i), CancellationToken.None))
                .Concat(Enumerable.Range(3, 3).Select(i => ReadAsync(server, token, new Random((seed * 10_000) + (n * 10) + i)))).ToList();
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(40)), TimeProvider.System);
            // None that is in scope is made after it: what derives from a dead token is dead.
            object scope = random.Next(2) == 0 ? new { services = new[] { "shop" } } : new { services = new[] { "nothing", "shop" }, environments = new[] { "dev" } };
            (await server.Admin.PostAsync("/v1/kill", scope)).Ok();
            var last = Volatile.Read(ref written) + 1;
            foreach (var seen in await Task.WhenAll(storms)) seen.ShouldBeLessThanOrEqualTo(last, $"seed {seed}, kill {n}");
            (await survivor.GetAsync("/v1/whoami")).Ok();
        }
        await stop.CancelAsync();
        await writing;
    }

    // Reads by the token and by ever new ones that derive from it, until none of them is heard any more. The newest value that was seen.
    private static async Task<int> ReadAsync(TestServer server, TestCaller token, Random random)
    {
        var (seen, callers) = (0, new List<TestCaller> { token });
        while (callers.Count > 0)
        {
            var caller = callers[random.Next(callers.Count)];
            var answer = random.Next(3) == 0 && callers.Count < 6 ? await caller.PostAsync("/v1/tokens/derive", new { }) : await caller.ConfigAsync("shop/dev");
            // Who is dead and goes on asking is told so, or to wait.
            if (answer.Status == 401 || (answer.Status == 429 && answer.Detail.Contains("not valid", StringComparison.Ordinal))) callers.Remove(caller);
            // Generations are limited.
            else if (answer.Status == 201) callers.Add(new TestCaller(server, answer.Json.GetProperty("token").GetString()));
            else if (answer.Status == 200) seen = Math.Max(seen, int.Parse(answer.Value("password")!, System.Globalization.CultureInfo.InvariantCulture));
            else answer.Status.ShouldBe(409, answer.Text);
        }
        return seen;
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_clone_under_way_is_cut_off()
    {
        var random = new byte[24 * 1024 * 1024];
        new Random(3).NextBytes(random);
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"), ("big.txt", Convert.ToBase64String(random)));
        await using var server = await TestServer.StartAsync(repository);
        var mine = await server.AsAsync("reader");
        using var http = new HttpClient { Timeout = TimeSpan.FromMinutes(2) };
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(server.Server.Address + "/git/config.git/git-upload-pack"));
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + mine.Token);
        // Protocol 0: one want and done, as git says it.
        var want = $"want {repository.Head} no-progress agent=test\n";
        request.Content = new ByteArrayContent(System.Text.Encoding.ASCII.GetBytes($"{want.Length + 4:x4}{want}00000009done\n"));
        request.Content.Headers.ContentType = new("application/x-git-upload-pack-request");
        using var answer = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        answer.StatusCode.ShouldBe(System.Net.HttpStatusCode.OK);
        await using var body = await answer.Content.ReadAsStreamAsync();
        // It is read slowly, so that the rest waits at the server.
        var buffer = new byte[1024];
        (await body.ReadAsync(buffer)).ShouldBeGreaterThan(0);
        (await server.Admin.PostAsync("/v1/kill", new { services = new[] { "shop" } })).Ok();
        var read = 0L;
        var error = await Should.ThrowAsync<Exception>(async () =>
        {
            for (int some; (some = await body.ReadAsync(buffer)) > 0; read += some) { }
            throw new InvalidDataException("it ended as if it were whole");
        });
        error.ShouldBeAssignableTo<IOException>();
        read.ShouldBeLessThan(random.Length);
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
