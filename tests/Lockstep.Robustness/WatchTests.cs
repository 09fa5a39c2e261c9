using System.Collections.Concurrent;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>L5, L9 and L12 with the program itself and the client library, on bad days.</summary>
[Trait("speed", "medium")]
public sealed class WatchTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_server_that_is_killed_amid_pushes_loses_nobody_a_change(int seed)
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", Text(0))]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        using var api = server.Api();
        await api.PutSecretAsync("shop/db", new SecretPut { Value = Json("0"), Cas = 0 });
        var random = new Random(seed);
        var stores = await Task.WhenAll(Enumerable.Range(0, 30).Select(n => Follower.OpenAsync(server, server.Token, n)));
        for (var n = 1; n <= 20; n++)
        {
            await repository.CommitAsync("shop.yml", Text(n));
            var writing = Task.WhenAll(TryAsync(() => api.RefreshAsync()), TryAsync(() => api.PutSecretAsync("shop/db", new SecretPut { Value = Json($"{n}") })));
            if (n % 5 != 0)
            {
                await writing;
                continue;
            }
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(40)), TimeProvider.System);
            await server.KillAsync();
            await writing;
            await server.StartAgainAsync();
        }
        await api.RefreshAsync();
        var newest = (await api.GetConfigAsync("shop", "production")).Snapshot!;
        foreach (var store in stores)
        {
            await Tool.UntilAsync(() => Task.FromResult(Same(store.Store.Current, newest)), s_patience, $"seed {seed}: a store at release {store.Store.Current.Release} reaches {newest.Release}");
            store.Broken.ShouldBeEmpty();
        }
        // All of them say so too.
        await Tool.UntilAsync(async () => (await api.GetFleetAsync("shop", "production")).Items is { Count: 30 } items && items.All(i => i.Current), s_patience, "the fleet has converged");
        foreach (var store in stores) await store.Store.DisposeAsync();
    }

    [Fact]
    public async Task A_token_that_is_revoked_amid_a_storm_of_reconnects_is_dead_for_all()
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", Text(0))]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        using var api = server.Api();
        await api.PutSecretAsync("shop/db", new SecretPut { Value = Json("0"), Cas = 0 });
        var token = await api.CreateTokenAsync(new TokenCreate { Name = "stolen", Role = "reader" });
        var stores = await Task.WhenAll(Enumerable.Range(0, 100).Select(n => Follower.OpenAsync(server, token.Token, n)));
        await server.KillAsync();
        await server.StartAgainAsync();
        await api.RevokeTokenAsync("stolen");
        await api.PutSecretAsync("shop/db", new SecretPut { Value = Json("1") });
        foreach (var store in stores)
        {
            await Tool.UntilAsync(() => Task.FromResult(store.IsRejected), s_patience, "the store is told that its token is dead");
            store.Store.Current.Values["password"].GetString().ShouldBe("0");
        }
        (await api.GetFleetAsync("shop", "production")).Items.ShouldBeEmpty();
        foreach (var store in stores) await store.Store.DisposeAsync();
    }

    [Fact]
    public async Task A_store_goes_on_from_its_cache_while_the_server_is_away_and_follows_when_it_is_back()
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", "n: 1\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        var options = Follower.Options(server, server.Token, 0) with { CacheFile = scratch["cache"], StartTimeout = TimeSpan.FromSeconds(5) };
        await (await LockstepStore.OpenAsync(options)).DisposeAsync();
        await server.KillAsync();
        await using var store = await LockstepStore.OpenAsync(options with { StartTimeout = TimeSpan.FromMilliseconds(500) });
        store.Current.Values["n"].GetInt32().ShouldBe(1);
        store.Status.FromCache.ShouldBeTrue();
        await repository.CommitAsync("shop.yml", "n: 2\n");
        await server.StartAgainAsync();
        await Tool.UntilAsync(() => Task.FromResult(store.Current.Values["n"].GetInt32() == 2), s_patience, "the store follows");
        store.Status.FromCache.ShouldBeFalse();
    }

    // The three values of one document say the same number, but for the secret.
    private static string Text(int n) => $"a: {n}\nb: {n}\nc: {n}\npassword: ${{secret:shop/db}}\n";

    private static System.Text.Json.JsonElement Json(string value) => System.Text.Json.JsonSerializer.SerializeToElement(value);

    private static bool Same(Snapshot one, Snapshot other) =>
        one.Values.Count == other.Values.Count && one.Values.All(v => other.Values.TryGetValue(v.Key, out var value) && value.GetRawText() == v.Value.GetRawText());

    private static async Task TryAsync(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unavailable)
        {
            // The server was killed meanwhile.
        }
    }

    private sealed class Follower
    {
        private volatile bool _isRejected;
        private long _release;

        public required LockstepStore Store { get; init; }

        public ConcurrentQueue<string> Broken { get; } = [];

        public bool IsRejected => _isRejected;

        public static LockstepStoreOptions Options(PublishedServer server, string token, int n) => new()
        {
            Client = new LockstepClientOptions { Address = server.Address, Token = _ => new(token), Instance = $"pod-{n}" },
            Service = "shop",
            Environment = "production",
            StartTimeout = TimeSpan.FromSeconds(30),
        };

        public static async Task<Follower> OpenAsync(PublishedServer server, string token, int n)
        {
            var follower = new Follower { Store = await LockstepStore.OpenAsync(Options(server, token, n)) };
            follower.Store.Changed += (_, change) => follower.Check(change.New);
            follower.Store.Rejected += (_, _) => follower._isRejected = true;
            return follower;
        }

        private void Check(Snapshot snapshot)
        {
            if (new[] { "b", "c" }.Any(k => snapshot.Values[k].GetInt32() != snapshot.Values["a"].GetInt32())) Broken.Enqueue($"a mix at release {snapshot.Release}");
            if (snapshot.Release < _release) Broken.Enqueue($"back from {_release} to {snapshot.Release}");
            _release = snapshot.Release;
        }
    }
}
