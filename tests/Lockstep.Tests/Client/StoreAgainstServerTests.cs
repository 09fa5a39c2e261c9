using System.Collections.Concurrent;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>The store and the server as they are.</summary>
[Trait("speed", "medium")]
public sealed class StoreAgainstServerTests
{
    [Fact]
    public async Task A_store_follows_commits_secrets_and_restarts_and_is_seen_to()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var reader = await server.AsAsync("reader");
        await using var store = await LockstepStore.OpenAsync(Options(server, () => reader.Token));
        store.Current.Text("password").ShouldBe("one");
        store.Current.Secrets.ShouldBe(["password"]);
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) => changes.Enqueue(change);

        repository.Commit(("shop.yml", "color: green\npassword: ${secret:shop/db}\nextra: ${secret:shop/db}-x\n"));
        await server.RefreshAsync();
        await Poll.UntilAsync(() => changes.Count == 1, "the commit");
        changes.Last().Keys.ShouldBe(["color", "extra"]);
        (await server.PutValueAsync("shop/db", "two")).Ok();
        await Poll.UntilAsync(() => changes.Count == 2, "the secret");
        (store.Current.Text("password"), store.Current.Text("extra")).ShouldBe(("two", "two-x"));

        server.Options = server.Options with { Listen = ListenAddress.Loopback(new Uri(server.Server.Address).Port) };
        await server.StopAsync();
        await Poll.UntilAsync(() => !store.Status.Connected, "the stop");
        store.Current.Text("password").ShouldBe("two");
        repository.Commit(("shop.yml", "color: blue\npassword: ${secret:shop/db}\n"));
        await server.StartAsync();
        await server.RefreshAsync();
        await Poll.UntilAsync(() => store.Current.Text("color") == "blue", "what changed meanwhile");
        store.Current.Release.ShouldBe(server.Release);

        repository.Commit(("shop.yml", "color: ${color}\n"));
        await server.RefreshAsync();
        await Poll.UntilAsync(() => store.Current.Stale is not null, "stale");
        store.Current.Text("color").ShouldBe("blue");
        repository.Commit(("shop.yml", "color: blue\npassword: ${secret:shop/db}\n"));
        await server.RefreshAsync();
        await Poll.UntilAsync(() => store.Current.Stale is null, "up to date again");
        (await server.Admin.GetAsync("/v1/audit/verify")).Ok();
    }

    [Fact]
    public async Task A_roll_reaches_the_store_which_goes_on_with_the_new_token()
    {
        using var directory = new TempDirectory();
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var reader = await server.AsAsync("reader");
        var token = reader.Token;
        var options = Options(server, () => Volatile.Read(ref token)) with { CacheFile = directory.File("cache") };
        await using var store = await LockstepStore.OpenAsync(options);
        await Poll.UntilAsync(() => File.Exists(options.CacheFile), "the cache");
        var rejected = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Rejected += (_, _) => rejected.TrySetResult(File.Exists(options.CacheFile));
        var rolled = (await server.Admin.PostAsync($"/v1/tokens/{reader.Name}/roll")).Ok();
        (await rejected.Task.WaitAsync(FakeWatchServer.Deadline)).ShouldBeFalse();
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options))).Code.ShouldBe(ErrorCode.Unauthenticated);
        Volatile.Write(ref token, rolled.Json.GetProperty("token").GetString());
        await Poll.UntilAsync(() => store.Status.Connected && File.Exists(options.CacheFile), "the new token");
        (await server.PutValueAsync("shop/db", "two")).Ok();
        await Poll.UntilAsync(() => store.Current.Text("password") == "two", "the secret");
    }

    [Fact]
    public async Task What_is_not_there_or_not_allowed_is_said_at_once()
    {
        using var repository = Repository();
        await using var server = await StartAsync(repository);
        var options = Options(server, () => server.Admin.Token);
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options with { Service = "none" }))).Code.ShouldBe(ErrorCode.NotFound);
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options with { Service = "No Name" }))).Code.ShouldBe(ErrorCode.BadRequest);
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options.WithToken(() => "lks_made_up")))).Code.ShouldBe(ErrorCode.Unauthenticated);
        var narrow = await server.AsAsync("reader", t => t with { Services = ["other"] });
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options.WithToken(() => narrow.Token)))).Code.ShouldBe(ErrorCode.Forbidden);
    }

    private static LockstepStoreOptions Options(TestServer server, Func<string?> token) =>
        StoreBench.Options(new Uri(server.Server.Address)).WithToken(token) with { Service = "shop", Environment = "dev" };

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "color: red\npassword: ${secret:shop/db}\n"));

    private static async Task<TestServer> StartAsync(TestRepository repository)
    {
        var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", "one")).Ok();
        return server;
    }
}
