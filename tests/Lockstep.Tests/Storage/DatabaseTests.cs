using Lockstep.Client;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Storage;

public sealed class SqliteDatabaseTests(ITestOutputHelper output) : DatabaseTests(output)
{
    private protected override Task<TestDatabase?> PlaceAsync() => Task.FromResult<TestDatabase?>(TestDatabase.Sqlite());
}

[Trait("speed", "medium")]
public sealed class PostgresDatabaseTests(ITestOutputHelper output) : DatabaseTests(output)
{
    private protected override async Task<TestDatabase?> PlaceAsync()
    {
        if (PostgresServer.Missing is { } reason)
        {
            Output.WriteLine(reason);
            return null;
        }
        return await TestDatabase.PostgresAsync();
    }
}

/// <summary>What both databases do alike.</summary>
public abstract class DatabaseTests(ITestOutputHelper output) : IAsyncLifetime
{
    private static readonly CancellationToken s_none = CancellationToken.None;
    private TestDatabase? _place;
    private Database? _database;

    protected ITestOutputHelper Output => output;

    private protected abstract Task<TestDatabase?> PlaceAsync();

    public async Task InitializeAsync()
    {
        _place = await PlaceAsync();
        if (_place is null) return;
        _database = await _place.OpenAsync();
        await _database.WriteAsync(s =>
        {
            s.Script("CREATE TABLE items (id BIGINT PRIMARY KEY, name TEXT NOT NULL UNIQUE)");
            s.Script("CREATE TABLE children (parent BIGINT NOT NULL REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED)");
            return 0;
        }, s_none);
    }

    public async Task DisposeAsync()
    {
        if (_database is not null) await _database.DisposeAsync();
        _place?.Dispose();
    }

    [Fact]
    public async Task Values_come_back_as_they_were_written()
    {
        if (_database is not { } database) return;
        await database.WriteAsync(s =>
        {
            Meta.SetText(s, "a", "ü\n☃");
            Meta.SetNumber(s, "b", long.MinValue);
            Meta.SetData(s, "c", [0, 255, 1]);
            Meta.SetData(s, "d", []);
            Meta.SetText(s, "e", null);
            return 0;
        }, s_none);
        await database.ReadAsync(s =>
        {
            Meta.GetText(s, "a").ShouldBe("ü\n☃");
            Meta.GetNumber(s, "b").ShouldBe(long.MinValue);
            Meta.GetData(s, "c").ShouldBe([0, 255, 1]);
            Meta.GetData(s, "d").ShouldBe([]);
            Meta.GetText(s, "e").ShouldBeNull();
            Meta.GetNumber(s, "a").ShouldBeNull();
            Meta.GetText(s, "missing").ShouldBeNull();
            return 0;
        }, s_none);
    }

    [Fact]
    public async Task Concurrent_writes_share_commits()
    {
        if (_database is not { } database) return;
        var before = database.Commits;
        await BusyAsync(database, async () =>
            await Task.WhenAll(Enumerable.Range(1, 500).Select(i => InsertAsync(database, i))));
        (await CountAsync(database)).ShouldBe(500);
        (database.Commits - before).ShouldBeLessThan(500);
    }

    [Fact]
    public async Task An_operation_that_throws_undoes_only_its_own_statements()
    {
        if (_database is not { } database) return;
        List<Task<int>> writes = [];
        await BusyAsync(database, () =>
        {
            for (var i = 1; i <= 30; i++)
            {
                var id = i;
                writes.Add(id % 3 == 0
                    ? database.WriteAsync<int>(s => { Insert(s, id); throw new InvalidOperationException("no"); }, s_none)
                    : InsertAsync(database, id));
            }
            return Task.CompletedTask;
        });
        await Task.WhenAll(writes).ContinueWith(_ => { }, TaskScheduler.Default);
        for (var i = 1; i <= 30; i++)
        {
            if (i % 3 == 0) (await writes[i - 1].ShouldThrowAsync<InvalidOperationException>()).Message.ShouldBe("no");
            else (await writes[i - 1]).ShouldBe(1);
        }
        (await CountAsync(database)).ShouldBe(20);
    }

    [Fact]
    public async Task A_failed_statement_fails_its_operation_even_when_it_is_caught()
    {
        if (_database is not { } database) return;
        await InsertAsync(database, 1);
        foreach (var alone in new[] { true, false })
        {
            Task<int> bad = null!, good = null!;
            var writes = () =>
            {
                bad = database.WriteAsync(s =>
                {
                    Insert(s, 2);
                    try { Insert(s, 1); } catch (System.Data.Common.DbException) { }
                    return 0;
                }, s_none);
                good = alone ? Task.FromResult(0) : InsertAsync(database, 3);
                return Task.CompletedTask;
            };
            await (alone ? writes() : BusyAsync(database, writes));
            await bad.ShouldThrowAsync<System.Data.Common.DbException>();
            await good;
        }
        (await CountAsync(database)).ShouldBe(2);
        database.WriteFailure.ShouldBeNull();
    }

    [Fact]
    public async Task A_commit_that_fails_fails_the_whole_group()
    {
        if (_database is not { } database) return;
        Task<int> innocent = null!, guilty = null!, refused = null!;
        await BusyAsync(database, () =>
        {
            innocent = InsertAsync(database, 1);
            refused = database.WriteAsync<int>(_ => throw new LockstepException(ErrorCode.Conflict, "as it saw the row"), s_none);
            guilty = database.WriteAsync(s => s.Execute("INSERT INTO children (parent) VALUES (@parent)", ("@parent", 99)), s_none);
            return Task.CompletedTask;
        });
        await innocent.ShouldThrowAsync<LockstepException>();
        await refused.ShouldThrowAsync<LockstepException>();
        (await guilty.ShouldThrowAsync<LockstepException>()).Code.ShouldBe(ErrorCode.Internal);
        (await CountAsync(database)).ShouldBe(0);
        await InsertAsync(database, 1);
        (await CountAsync(database)).ShouldBe(1);
    }

    [Fact]
    public async Task Readers_do_not_wait_for_a_long_write_and_see_none_of_it()
    {
        if (_database is not { } database) return;
        using var written = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        var write = database.WriteAsync(s =>
        {
            var n = Insert(s, 1);
            written.Release();
            go.Wait(TimeSpan.FromSeconds(30));
            return n;
        }, s_none);
        await written.WaitAsync();
        for (var i = 0; i < 20; i++) (await CountAsync(database)).ShouldBe(0);
        write.IsCompleted.ShouldBeFalse();
        go.Release();
        await write;
        (await CountAsync(database)).ShouldBe(1);
    }

    [Fact]
    public async Task A_read_sees_one_committed_state()
    {
        if (_database is not { } database) return;
        await InsertAsync(database, 1);
        using var started = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        var read = Task.Run(() => database.ReadAsync(s =>
        {
            var before = Count(s);
            started.Release();
            go.Wait(TimeSpan.FromSeconds(30));
            return (before, Count(s));
        }, s_none));
        await started.WaitAsync();
        await InsertAsync(database, 2);
        go.Release();
        (await read).ShouldBe((1, 1));
    }

    [Fact]
    public async Task Reads_cannot_write()
    {
        if (_database is not { } database) return;
        await Should.ThrowAsync<Exception>(() => database.ReadAsync(s => Insert(s, 1), s_none));
        (await CountAsync(database)).ShouldBe(0);
    }

    [Fact]
    public async Task Cancelled_writes_that_wait_are_not_run()
    {
        if (_database is not { } database) return;
        using var source = new CancellationTokenSource();
        Task<int> write = null!;
        await BusyAsync(database, async () =>
        {
            write = database.WriteAsync(s => Insert(s, 1), source.Token);
            await source.CancelAsync();
        });
        await write.ShouldThrowAsync<OperationCanceledException>();
        (await CountAsync(database)).ShouldBe(0);
    }

    [Fact]
    public async Task Counters_have_no_gaps_although_operations_fail()
    {
        if (_database is not { } database) return;
        var random = new Random(7);
        var writes = Enumerable.Range(0, 200).Select(_ => random.Next(3) == 0).Select(fail => database.WriteAsync(s =>
        {
            var n = Counters.Next(s, "journal");
            return fail ? throw new InvalidOperationException() : n;
        }, s_none)).ToList();
        await Task.WhenAll(writes).ContinueWith(_ => { }, TaskScheduler.Default);
        var numbers = writes.Where(w => w.IsCompletedSuccessfully).Select(w => w.Result).ToList();
        numbers.ShouldBe(Enumerable.Range(1, numbers.Count).Select(n => (long)n));
        (await database.ReadAsync(s => Counters.Current(s, "journal"), s_none)).ShouldBe(numbers.Count);
    }

    [Fact]
    public async Task Migrations_run_once_and_the_epoch_stays()
    {
        if (_database is not { } database) return;
        var epoch = database.Epoch;
        epoch.Length.ShouldBe(32);
        await InsertAsync(database, 1);
        await database.DisposeAsync();
        _database = await _place!.OpenAsync();
        _database.Epoch.ShouldBe(epoch);
        (await CountAsync(_database)).ShouldBe(1);
    }

    [Fact]
    public async Task A_database_newer_than_the_program_is_refused_with_both_numbers()
    {
        if (_database is not { } database) return;
        var format = await database.ReadAsync(s => Meta.GetNumber(s, "format"), s_none);
        await database.WriteAsync(s => { Meta.SetNumber(s, "format", 4711); return 0; }, s_none);
        await database.DisposeAsync();
        var refusal = await Should.ThrowAsync<LockstepException>(_place!.OpenAsync());
        refusal.Code.ShouldBe(ErrorCode.Conflict);
        refusal.Message.ShouldContain("4711");
        refusal.Message.ShouldContain($"up to {format}");
    }

    [Fact]
    public async Task Text_sorts_by_its_bytes()
    {
        if (_database is not { } database) return;
        string[] ids = ["B", "a", "A", "a-b", "a/b", "a_b", "b", "ab", "a.b", "a+b"];
        await database.WriteAsync(s =>
        {
            foreach (var id in ids)
                s.Execute("INSERT INTO secrets (id, mount, latest, created_at, created_by) VALUES (@id, '', 1, 1, '')", ("@id", id));
            return 0;
        }, s_none);
        var sorted = await database.ReadAsync(s => s.Query("SELECT id FROM secrets ORDER BY id", r => r.GetString(0)), s_none);
        sorted.ShouldBe(ids.Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Random_operations_agree_with_a_model()
    {
        if (_database is not { } database) return;
        var random = new Random(42);
        var model = new SortedDictionary<long, string>();
        for (var round = 0; round < 40; round++)
        {
            var pending = new List<(Task<int> Write, Action Apply)>();
            await BusyAsync(database, () =>
            {
                for (var i = random.Next(1, 12); i > 0; i--) pending.Add(RandomOperation(database, random, model));
                return Task.CompletedTask;
            });
            foreach (var (write, apply) in pending)
            {
                await write.ContinueWith(_ => { }, TaskScheduler.Default);
                if (write.IsCompletedSuccessfully) apply();
            }
            var rows = await database.ReadAsync(s => s.Query("SELECT id, name FROM items ORDER BY id", r => (r.GetInt64(0), r.GetString(1))), s_none);
            rows.ShouldBe(model.Select(p => (p.Key, p.Value)));
            if (round % 10 != 9) continue;
            await database.DisposeAsync();
            _database = database = await _place!.OpenAsync();
        }
    }

    // The model is brought up to date in the order of the queue, from the tasks that succeeded: one that failed must have left nothing.
    private static (Task<int> Write, Action Apply) RandomOperation(Database database, Random random, SortedDictionary<long, string> model)
    {
        var id = (long)random.Next(20);
        var name = $"n{random.Next(1_000_000)}";
        var fail = random.Next(4) == 0;
        switch (random.Next(3))
        {
            case 0:
                return (database.WriteAsync(s =>
                {
                    s.Execute("DELETE FROM items WHERE id = @id", ("@id", id));
                    return fail ? throw new InvalidOperationException() : 0;
                }, s_none), () => model.Remove(id));
            case 1:
                return (database.WriteAsync(s =>
                {
                    s.Execute("INSERT INTO items (id, name) VALUES (@id, @name) ON CONFLICT (id) DO UPDATE SET name = excluded.name", ("@id", id), ("@name", name));
                    return fail ? throw new InvalidOperationException() : 0;
                }, s_none), () => model[id] = name);
            default:
                // Fails by itself where the row exists.
                return (database.WriteAsync(s =>
                {
                    s.Execute("INSERT INTO items (id, name) VALUES (@id, @name)", ("@id", id), ("@name", name));
                    return 0;
                }, s_none), () => model.Add(id, name));
        }
    }

    // Holds the writer while work is queued, so that it all lands in one group.
    private static async Task BusyAsync(Database database, Func<Task> queue)
    {
        using var holding = new SemaphoreSlim(0);
        using var go = new SemaphoreSlim(0);
        var hold = database.WriteAsync(_ =>
        {
            holding.Release();
            go.Wait(TimeSpan.FromSeconds(30));
            return 0;
        }, s_none);
        await holding.WaitAsync();
        var work = queue();
        go.Release();
        await hold;
        await work;
    }

    private static Task<int> InsertAsync(Database database, long id) => database.WriteAsync(s => Insert(s, id), s_none);

    private static int Insert(SqlSession session, long id) =>
        session.Execute("INSERT INTO items (id, name) VALUES (@id, @name)", ("@id", id), ("@name", $"item {id}"));

    private static Task<long> CountAsync(Database database) => database.ReadAsync(Count, s_none);

    private static long Count(SqlSession session) => session.First("SELECT COUNT(*) FROM items", r => r.GetInt64(0));
}
