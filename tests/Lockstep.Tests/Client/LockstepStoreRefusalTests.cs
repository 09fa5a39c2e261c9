using System.Collections.Concurrent;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>A token that is rejected, and what a store then does and leaves.</summary>
public sealed class LockstepStoreRefusalTests
{
    [Fact]
    public async Task A_rejected_token_is_replaced_at_once_when_there_is_another()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var token = "lks_one";
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""", StoreBench.Options(server.Address).WithToken(() => Volatile.Read(ref token)));
        await using var _ = store;
        var rejected = new ConcurrentQueue<LockstepException>();
        store.Rejected += (_, e) => rejected.Enqueue(e);
        Volatile.Write(ref token, "lks_two");
        await first.CloseAsync(4401);
        var second = await server.GreetAsync();
        second.Authorization.ShouldBe("Bearer lks_two");
        await second.CurrentAsync(1, "t1");
        await Poll.UntilAsync(() => store.Status.Connected, "the connection");
        rejected.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(4401, "unauthenticated")]
    [InlineData(4403, "forbidden")]
    public async Task A_rejected_token_without_another_deletes_the_cache_and_is_told_once(int close, string code)
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        var token = "lks_one";
        var options = StoreBench.Options(server.Address).WithToken(() => Volatile.Read(ref token)) with { CacheFile = directory.File("cache") };
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""", options);
        await using var _ = store;
        await Poll.UntilAsync(() => File.Exists(options.CacheFile), "the cache file");
        var rejected = new ConcurrentQueue<(LockstepException Error, bool CacheThere)>();
        store.Rejected += (_, e) => rejected.Enqueue((e, File.Exists(options.CacheFile)));
        server.Refuse = context => context.Request.Headers.Authorization == "Bearer lks_two" ? null : close == 4401 ? 401 : 403;
        await first.CloseAsync(close);
        await Poll.UntilAsync(() => server.Attempts >= 4, "more tries, slowly");
        var only = rejected.Single();
        (only.Error.Code.Name, only.CacheThere).ShouldBe((code, false));
        only.Error.ToString().ShouldNotContain("lks_");
        store.Current.Text("a").ShouldBe("1");
        store.Status.Connected.ShouldBeFalse();

        Volatile.Write(ref token, "lks_two");
        var second = await server.GreetAsync();
        await second.CurrentAsync(1, "t1");
        await Poll.UntilAsync(() => store.Status.Connected && File.Exists(options.CacheFile), "the connection and the cache file");
        CacheFile.Read(options.CacheFile, "lks_two", new Subscription("payments", "production", null), TimeSpan.FromHours(1), TimeProvider.System.GetUtcNow())
            .Snapshot.Text("a").ShouldBe("1");
        rejected.Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_source_that_makes_a_new_token_for_each_call_does_not_go_round_and_round()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var made = 0;
        var options = StoreBench.Options(server.Address).WithToken(() => $"lks_{Interlocked.Increment(ref made)}");
        options = options with { Timing = options.Timing with { TokenPoll = TimeSpan.FromHours(1) } };
        var (store, first) = await StoreBench.OpenAsync(server, """{"a":1}""", options);
        await using var _ = store;
        var rejected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Rejected += (_, _) => rejected.TrySetResult();
        server.Refuse = _ => 401;
        await first.CloseAsync(4401);
        await rejected.Task.WaitAsync(FakeWatchServer.Deadline);
        server.Attempts.ShouldBe(2);
    }

    [Theory]
    [InlineData(401, null, "unauthenticated")]
    [InlineData(403, null, "forbidden")]
    [InlineData(null, """{"op":"error","id":1,"code":"forbidden","detail":"no"}""", "forbidden")]
    [InlineData(null, """{"op":"error","id":1,"code":"bad-request","detail":"no"}""", "bad-request")]
    [InlineData(null, """{"op":"error","id":1,"code":"not-found","detail":"no"}""", "not-found")]
    public async Task A_server_that_says_no_ends_opening_at_once_and_the_cache_is_no_way_around_it(int? status, string? frame, string code)
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        server.Refuse = _ => status;
        var options = StoreBench.Options(server.Address) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromHours(1) };
        CacheFileTests.WriteGood(options.CacheFile);
        var opening = LockstepStore.OpenAsync(options);
        if (frame is not null) await (await server.GreetAsync()).SendAsync(frame);
        (await Should.ThrowAsync<LockstepException>(() => opening.WaitAsync(FakeWatchServer.Deadline))).Code.Name.ShouldBe(code);
        File.Exists(options.CacheFile).ShouldBe(code is "bad-request" or "not-found");
    }

    [Fact]
    public async Task A_bad_token_leaves_the_cache_of_a_good_one_alone()
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        server.Refuse = _ => 401;
        var options = StoreBench.Options(server.Address).WithToken(() => "lks_bad") with { CacheFile = directory.File("cache") };
        CacheFileTests.WriteGood(options.CacheFile);
        (await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options))).Code.ShouldBe(ErrorCode.Unauthenticated);
        File.Exists(options.CacheFile).ShouldBeTrue();
    }

    [Fact]
    public async Task A_store_that_began_with_its_cache_is_told_of_a_rejection_too()
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        var status = 503;
        server.Refuse = _ => Volatile.Read(ref status);
        var options = StoreBench.Options(server.Address) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromMilliseconds(100) };
        CacheFileTests.WriteGood(options.CacheFile);
        await using var store = await LockstepStore.OpenAsync(options);
        store.Status.FromCache.ShouldBeTrue();
        var rejected = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Rejected += (_, _) => rejected.TrySetResult(File.Exists(options.CacheFile));
        Volatile.Write(ref status, 401);
        (await rejected.Task.WaitAsync(FakeWatchServer.Deadline)).ShouldBeFalse();
        store.Current.Text("p").ShouldBe("hunter2");
    }

    [Fact]
    public async Task A_rejection_in_place_of_the_welcome_is_one()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var opening = LockstepStore.OpenAsync(StoreBench.Options(server.Address));
        var connection = await server.AcceptAsync();
        await connection.SendAsync("""{"op":"error","id":null,"code":"unauthenticated","detail":"no"}""");
        (await Should.ThrowAsync<LockstepException>(() => opening)).Code.ShouldBe(ErrorCode.Unauthenticated);
    }

    [Fact]
    public async Task A_token_source_that_fails_is_no_rejection_and_is_not_quoted()
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        var options = StoreBench.Options(server.Address).WithToken(() => throw new InvalidOperationException("hunter2")) with
        {
            CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromMilliseconds(100),
        };
        CacheFileTests.WriteGood(options.CacheFile);
        var e = await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options));
        e.Code.ShouldBe(ErrorCode.Unavailable);
        e.ToString().ShouldNotContain("hunter2");
        File.Exists(options.CacheFile).ShouldBeTrue();
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public async Task A_token_source_that_hangs_does_not_hold_up_opening(bool blocks, bool cache)
    {
        using var directory = new TempDirectory();
        using var end = new ManualResetEventSlim();
        var never = new TaskCompletionSource<string?>();
        var options = StoreBench.Options(new Uri("http://127.0.0.1:1")) with { CacheFile = cache ? directory.File("cache") : null, StartTimeout = TimeSpan.FromMilliseconds(200) };
        options = options with
        {
            Client = options.Client with
            {
                Token = _ =>
                {
                    if (blocks) end.Wait(CancellationToken.None);
                    return new(never.Task);
                },
            },
        };
        var e = await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options).WaitAsync(FakeWatchServer.Deadline));
        e.Code.ShouldBe(ErrorCode.Unavailable);
        end.Set();
        never.SetResult(null);
    }
}
