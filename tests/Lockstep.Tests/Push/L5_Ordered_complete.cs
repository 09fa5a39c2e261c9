using System.Net.WebSockets;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

/// <summary>
/// Two writers at once, many watchers that come and go with what they hold, and a server that is stopped and started in between. No watcher
/// ever goes back, and when the changes stop each holds the newest.
/// </summary>
public sealed class L5_Ordered_complete
{
    private static readonly string[] s_documents = ["a/dev", "b/dev", "b/prod"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("speed", "medium")]
    public Task Watchers_never_go_back_and_end_with_the_newest(int seed) => RunAsync(seed, changes: 60, restarts: 2);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [Trait("speed", "long")]
    public Task Watchers_never_go_back_and_end_with_the_newest_at_length(int seed) => RunAsync(seed, changes: 600, restarts: 8);

    private static async Task RunAsync(int seed, int changes, int restarts)
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "n: 0\nsecret: ${secret:one}\n"), ("b.yml", "n: 0\nsecret: ${secret:two}\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var secret in new[] { "one", "two" }) (await server.PutAsync(secret, "0")).Ok();
        var reader = await server.AsAsync("reader");
        using var stop = new CancellationTokenSource();
        var followers = Enumerable.Range(0, 24).Select(i => new Follower(server, reader.Token!, s_documents[i % s_documents.Length], new Random((seed * 1000) + i))).ToList();
        var following = followers.Select(f => f.RunAsync(stop.Token)).ToList();
        for (var round = 0; round <= restarts; round++)
        {
            await Task.WhenAll(WriteAsync(server, repository, round, changes / (restarts + 1)), RotateAsync(server, new Random(seed + round), changes / (restarts + 1)));
            if (round < restarts) await server.RestartAsync();
        }
        // One that found a law broken has ended with it.
        foreach (var ended in following.Where(f => f.IsCompleted)) await ended;
        foreach (var follower in followers)
        {
            var newest = (await reader.ConfigAsync(follower.Document)).Ok();
            await follower.UntilAsync(newest.ETag, $"seed {seed}: {follower.Document}");
        }
        await stop.CancelAsync();
        await Task.WhenAll(following);
        followers.Sum(f => f.Resumed).ShouldBeGreaterThan(restarts * followers.Count / 2);
        followers.Sum(f => f.Changes).ShouldBeGreaterThan(changes);
    }

    private static async Task WriteAsync(TestServer server, TestRepository repository, int round, int changes)
    {
        for (var n = 0; n < changes; n++)
        {
            repository.Commit((n % 2 == 0 ? "a.yml" : "b.yml", $"n: {round}.{n}\nsecret: ${{secret:{(n % 2 == 0 ? "one" : "two")}}}\n"));
            await server.RefreshAsync();
        }
    }

    private static async Task RotateAsync(TestServer server, Random random, int changes)
    {
        for (var n = 0; n < changes; n++) (await server.PutValueAsync(random.Next(2) == 0 ? "one" : "two", $"{random.Next()}")).Ok();
    }

    private sealed class Follower(TestServer server, string token, string document, Random random)
    {
        private readonly Lock _lock = new();
        private HeldDocument? _held;
        private TestWatcher? _watcher;

        public string Document => document;

        public int Resumed { get; private set; }

        public int Changes { get; private set; }

        public async Task RunAsync(CancellationToken stop)
        {
            while (!stop.IsCancellationRequested)
            {
                try
                {
                    await FollowAsync(random.Next(1, 20), stop);
                }
                catch (Exception e) when (e is WebSocketException or InvalidOperationException or IOException or HttpRequestException or OperationCanceledException)
                {
                    // The server is away, or this one was told to stop: it comes back with what it holds.
                    if (!stop.IsCancellationRequested) await Task.Delay(TimeSpan.FromMilliseconds(random.Next(5, 50)), TimeProvider.System, CancellationToken.None);
                }
            }
        }

        public async Task UntilAsync(string etag, string what)
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (true)
            {
                lock (_lock)
                {
                    if (_held?.ETag == etag) return;
                }
                deadline.IsCancellationRequested.ShouldBeFalse($"{what}: holds {_held?.Release} {_held?.ETag} and not {etag}");
                await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System, CancellationToken.None);
            }
        }

        private async Task FollowAsync(int frames, CancellationToken stop)
        {
            await using var watcher = _watcher = await TestWatcher.ConnectAsync(server, token);
            await using var stopping = stop.Register(watcher.Socket.Abort);
            if (_held is not null)
            {
                watcher.Held[1] = _held;
                Resumed++;
            }
            await watcher.SubscribeAsync(1, document);
            Keep(watcher);
            for (var n = 0; n < frames; n++)
            {
                await watcher.NextAsync();
                Keep(watcher);
                Changes++;
            }
        }

        // A change that does not follow on what is held throws where it is taken over; here it is the answers to a subscribe.
        private void Keep(TestWatcher watcher)
        {
            lock (_lock)
            {
                var next = watcher.Held[1];
                if (_held is not null && next.Release < _held.Release) throw new ShouldAssertException($"went back from {_held.Release} to {next.Release}");
                _held = next;
            }
        }
    }
}
