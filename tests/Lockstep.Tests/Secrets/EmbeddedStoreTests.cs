using System.Text;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Secrets.Embedded;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Secrets;

public sealed class SqliteEmbeddedStoreTests : EmbeddedStoreTests
{
    private protected override Task<TestDatabase?> PlaceAsync() => Task.FromResult<TestDatabase?>(TestDatabase.Sqlite());

    [Fact]
    public async Task A_value_is_nowhere_in_the_files()
    {
        const string Marker = "canary-7d1f0c55-marker";
        await WriteAsync(Id("c/canary"), Marker);
        await WriteAsync(Id("c/canary"), "{\"password\":\"" + Marker + "\"}");
        AssertNowhere(Marker);
        await PersistAsync(await ((ISoftDelete)Store!).PurgeAsync(Id("c/canary"), CancellationToken.None));
        AssertNowhere(Marker);
    }

    // The search finds what is there: the id is kept in clear.
    private void AssertNowhere(string marker)
    {
        var files = Directory.GetFiles(Place!.Directory.Path, "*", SearchOption.AllDirectories)
            .Select(f => Read(f)).ToList();
        var id = Encoding.UTF8.GetBytes("c/canary");
        files.ShouldContain(bytes => Holds(bytes, id));
        foreach (var encoding in new[] { Encoding.UTF8, Encoding.Unicode })
            files.ShouldNotContain(bytes => Holds(bytes, encoding.GetBytes(marker)));
    }

    private static bool Holds(byte[] bytes, byte[] part) => bytes.AsSpan().IndexOf(part) >= 0;

    private static byte[] Read(string path)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        return bytes;
    }
}

[Trait("speed", "medium")]
public sealed class PostgresEmbeddedStoreTests(ITestOutputHelper output) : EmbeddedStoreTests
{
    private protected override async Task<TestDatabase?> PlaceAsync()
    {
        if (PostgresServer.Missing is not { } reason) return await TestDatabase.PostgresAsync();
        output.WriteLine(reason);
        return null;
    }
}

public abstract class EmbeddedStoreTests : SecretStoreConformance
{
    private static readonly CancellationToken s_none = CancellationToken.None;
    private Database? _database;
    private MasterKey? _key;

    private protected TestDatabase? Place { get; private set; }

    private protected abstract Task<TestDatabase?> PlaceAsync();

    public override async Task InitializeAsync()
    {
        Place = await PlaceAsync();
        if (Place is null) return;
        _database = await Place.OpenAsync();
        _key = await MasterKey.OpenAsync(new MasterKeyOptions(), Place.Directory.Path, _database, s_none);
        Store = new EmbeddedStore(_database, _key, TimeProvider.System);
    }

    public override async Task DisposeAsync()
    {
        _key?.Dispose();
        if (_database is not null) await _database.DisposeAsync();
        Place?.Dispose();
    }

    private protected override Task PersistAsync(PreparedWrite prepared) =>
        _database!.WriteAsync(s => { prepared.Persist!(s); return 0; }, s_none);

    [Fact]
    public async Task A_write_that_something_came_before_is_a_conflict_and_writes_nothing()
    {
        if (Store is not EmbeddedStore store) return;
        var id = Id("a/race");
        await WriteAsync(id, "v1");
        var late = await store.WriteAsync(new SecretWrite(id, new SecretValue("late"), "tester", false), null, s_none);
        var lateDelete = await store.DeleteAsync(id, s_none);
        var lateCreation = await store.WriteAsync(new SecretWrite(Id("a/new"), new SecretValue("late"), "tester", false), 0, s_none);
        await WriteAsync(id, "v2");
        await WriteAsync(Id("a/new"), "v1");
        foreach (var prepared in new[] { late, lateDelete, lateCreation }) await RefusedAsync(ErrorCode.Conflict, () => PersistAsync(prepared));
        (await ReadAsync(id, 2)).ShouldBe("v2");
        (await ReadAsync(Id("a/new"), 1)).ShouldBe("v1");
        (await store.HeadsAsync([id], s_none))[id].ShouldBe(2);
    }

    [Fact]
    public async Task Bytes_that_were_changed_do_not_decrypt()
    {
        if (_database is not { } database) return;
        var id = Id("a/tampered");
        await WriteAsync(id, "the value");
        foreach (var column in new[] { "ciphertext", "wrapped_key" })
        {
            var original = await ColumnAsync(column, id, 1);
            for (var i = 0; i < original.Length; i++)
            {
                var changed = (byte[])original.Clone();
                changed[i] ^= 0x40;
                await SetColumnAsync(column, id, 1, changed);
                await RefusedAsync(ErrorCode.Internal, () => ReadAsync(id, 1));
            }
            foreach (var length in new[] { 0, 1, 28, original.Length - 1 })
            {
                await SetColumnAsync(column, id, 1, original[..length]);
                await RefusedAsync(ErrorCode.Internal, () => ReadAsync(id, 1));
            }
            await SetColumnAsync(column, id, 1, original);
        }
        (await ReadAsync(id, 1)).ShouldBe("the value");
    }

    [Fact]
    public async Task Rows_that_were_swapped_do_not_decrypt()
    {
        if (_database is null) return;
        var (a, b) = (Id("a/a"), Id("a/b"));
        await WriteAsync(a, "a1");
        await WriteAsync(a, "a2");
        await WriteAsync(b, "b1");
        foreach (var (id, version) in new[] { (a, 2), (b, 1) })
        {
            var kept = (await ColumnAsync("ciphertext", id, version), await ColumnAsync("wrapped_key", id, version));
            await SetColumnAsync("ciphertext", id, version, await ColumnAsync("ciphertext", a, 1));
            await SetColumnAsync("wrapped_key", id, version, await ColumnAsync("wrapped_key", a, 1));
            await RefusedAsync(ErrorCode.Internal, () => ReadAsync(id, version));
            await SetColumnAsync("ciphertext", id, version, kept.Item1);
            await SetColumnAsync("wrapped_key", id, version, kept.Item2);
        }
        (await ReadAsync(b, 1)).ShouldBe("b1");
    }

    [Fact]
    public async Task Versions_are_staged_activated_superseded_and_destroyed()
    {
        if (_database is not { } database) return;
        var id = Id("a/states");
        await WriteAsync(id, "v1", staged: true);
        (await StatesAsync(id)).ShouldBe(["staged"]);
        await WriteAsync(id, "v2");
        await WriteAsync(id, "v3");
        (await StatesAsync(id)).ShouldBe(["staged", "superseded", "active"]);
        await MarkActiveAsync(id, 1);
        (await StatesAsync(id)).ShouldBe(["active", "superseded", "superseded"]);
        await RefusedAsync(ErrorCode.NotFound, () => MarkActiveAsync(id, 4));
        (await StatesAsync(id)).ShouldBe(["active", "superseded", "superseded"]);
        await PersistAsync(await ((ISoftDelete)Store!).DeleteAsync(id, s_none));
        await WriteAsync(id, "v4", staged: true);
        (await StatesAsync(id)).ShouldBe(["superseded", "superseded", "superseded", "staged"]);
        await PersistAsync(await ((ISoftDelete)Store!).PurgeAsync(id, s_none));
        (await StatesAsync(id)).ShouldBe(["destroyed", "destroyed", "destroyed", "destroyed"]);
        await RefusedAsync(ErrorCode.NotFound, () => MarkActiveAsync(id, 4));
        (await database.ReadAsync(s => s.First(
            "SELECT COUNT(*) FROM secret_versions WHERE id = @id AND ciphertext IS NULL AND wrapped_key IS NULL AND destroyed_at IS NOT NULL",
            r => r.GetInt64(0), ("@id", id.Value)), s_none)).ShouldBe(4);
    }

    private Task<int> MarkActiveAsync(SecretId id, int version) => _database!.WriteAsync(s => { SecretCatalog.MarkActive(s, id, version); return 0; }, s_none);

    private Task<List<string>> StatesAsync(SecretId id) => _database!.ReadAsync(
        s => s.Query("SELECT state FROM secret_versions WHERE id = @id ORDER BY version", r => r.GetString(0), ("@id", id.Value)), s_none);

    private Task<byte[]> ColumnAsync(string column, SecretId id, int version) => _database!.ReadAsync(
        s => s.First($"SELECT {column} FROM secret_versions WHERE id = @id AND version = @version", r => r.Data(0), ("@id", id.Value), ("@version", version))!, s_none);

    private Task<int> SetColumnAsync(string column, SecretId id, int version, byte[] data) => _database!.WriteAsync(
        s => s.Execute($"UPDATE secret_versions SET {column} = @data WHERE id = @id AND version = @version", ("@data", data), ("@id", id.Value), ("@version", version)), s_none);
}
