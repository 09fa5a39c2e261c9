using System.Collections.Concurrent;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

/// <summary>What a store does with the code of the application: handlers, parsers, reports.</summary>
public sealed class LockstepStoreAppTests
{
    [Fact]
    public async Task A_handler_that_throws_is_told_by_its_exceptions_type_alone_and_stops_nobody()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await using var _ = store;
        await connection.ReadAsync("applied");
        var seen = new ConcurrentQueue<long>();
        var isBad = true;
        store.Changed += (_, _) => { if (Volatile.Read(ref isBad)) throw new InvalidOperationException("hunter2"); };
        store.Changed += (_, change) => seen.Enqueue(change.New.Release);
        await connection.ChangeAsync(1, 2, """{"a":2}""");
        var failed = await connection.ReadAsync("failed");
        (failed.GetProperty("release").GetInt64(), failed.GetProperty("etag").GetString(), failed.GetProperty("reason").GetString()).ShouldBe((2, "t2", "InvalidOperationException"));
        connection.Abort();
        var second = await server.GreetAsync();
        await second.CurrentAsync(3, "t2");
        (await second.ReadAsync("failed")).GetProperty("release").GetInt64().ShouldBe(3, "the server has forgotten, the failure stands");
        Volatile.Write(ref isBad, false);
        await second.ChangeAsync(3, 4, """{"a":4}""");
        await second.ReadAsync("applied");
        seen.ShouldBe([2, 4]);
    }

    [Fact]
    public async Task A_view_keeps_its_value_while_the_new_document_does_not_parse()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"port":1}""");
        await using var _ = store;
        await connection.ReadAsync("applied");
        var view = store.View(s => s.Values["port"].GetInt32());
        var inHandler = new ConcurrentQueue<int>();
        store.Changed += (_, _) => inHandler.Enqueue(view.Value);
        await connection.ChangeAsync(1, 2, """{"port":2}""");
        await connection.ReadAsync("applied");
        await connection.ChangeAsync(2, 3, """{"port":"hunter2"}""");
        (await connection.ReadAsync("failed")).GetProperty("reason").GetString().ShouldBe("InvalidOperationException");
        (view.Value, view.Error).ShouldBe((2, "InvalidOperationException"));
        store.Current.Text("port").ShouldBe("hunter2");
        await connection.ChangeAsync(3, 4, """{"port":4}""");
        await connection.ReadAsync("applied");
        (view.Value, view.Error).ShouldBe((4, null));
        inHandler.ShouldBe([2, 2, 4]);
        Should.Throw<KeyNotFoundException>(() => store.View(s => s.Values["none"].GetInt32()));
    }

    [Fact]
    public async Task What_the_application_reports_by_hand_is_said_of_the_newest_document_alone_and_again_after_a_reconnect()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""", StoreBench.Options(server.Address) with { ReportsByHand = true });
        await using var _ = store;
        var old = store.Current;
        await connection.ChangeAsync(1, 2, """{"a":2}""");
        await Poll.UntilAsync(() => store.Current.Release == 2, "the change");
        store.ReportApplied(old);
        store.ReportFailed(store.Current, new string('x', 600));
        (await connection.ReadAsync("failed")).GetProperty("reason").GetString()!.Length.ShouldBe(512);
        var mine = store.Current;
        store.ReportApplied(mine);
        (await connection.ReadAsync("applied")).GetProperty("release").GetInt64().ShouldBe(2);
        connection.Abort();
        var second = await server.GreetAsync("e2");
        await second.SnapshotAsync(1, """{"a":2}""");
        var applied = await second.ReadAsync("applied");
        (applied.GetProperty("release").GetInt64(), applied.GetProperty("etag").GetString()).ShouldBe((1, "t1"), "the same data under another name");
    }

    [Fact]
    public async Task A_handler_that_takes_its_time_holds_up_neither_reads_nor_a_rejection_and_missed_changes_fold()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""");
        await connection.ReadAsync("applied");
        using var entered = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        var changes = new ConcurrentQueue<StoreChange>();
        store.Changed += (_, change) =>
        {
            changes.Enqueue(change);
            entered.Release();
            go.Wait();
        };
        var rejected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Rejected += (_, _) => rejected.TrySetResult();
        await connection.ChangeAsync(1, 2, """{"a":2}""");
        (await entered.WaitAsync(FakeWatchServer.Deadline)).ShouldBeTrue();
        await connection.ChangeAsync(2, 3, """{"a":3,"b":1}""");
        await connection.ChangeAsync(3, 4, """{"a":4}""", """["b"]""");
        await Poll.UntilAsync(() => store.Current.Text("a") == "4", "the newest");
        server.Refuse = _ => 401;
        await connection.CloseAsync(4401);
        await rejected.Task.WaitAsync(FakeWatchServer.Deadline);
        go.Release(2);
        await Poll.UntilAsync(() => changes.Count == 2, "the folded change");
        var folded = changes.Last();
        (folded.Old.Release, folded.New.Release).ShouldBe((2, 4));
        folded.Keys.ShouldBe(["a"]);
        await store.DisposeAsync();
        store.Current.Text("a").ShouldBe("4");
    }

    [Fact]
    public async Task A_store_may_be_disposed_by_its_own_handler()
    {
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""");
        var disposed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Changed += (_, _) =>
        {
            store.DisposeAsync().AsTask().GetAwaiter().GetResult();
            disposed.TrySetResult();
        };
        await connection.ChangeAsync(1, 2, """{"a":2}""");
        await disposed.Task.WaitAsync(FakeWatchServer.Deadline);
        await connection.Gone;
        await store.DisposeAsync();
    }
}
