using System.Globalization;
using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Secrets.Embedded;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Secrets;

/// <summary>The master key is changed under a database with more secrets than one batch holds.</summary>
[Trait("speed", "medium")]
public sealed class RekeyTests
{
    private const int Secrets = 450;
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task A_change_that_is_stopped_after_any_step_is_ended_by_the_next_start()
    {
        var steps = new List<string>();
        for (var stop = 0; ; stop++)
        {
            using var place = TestDatabase.Sqlite();
            var file = place.Directory.File("master.key");
            await FillAsync(place, file);
            var before = await File.ReadAllTextAsync(file);
            var (stopped, step) = await StopAsync(place, file, stop);
            steps.Add(step);

            // The next life.
            await using var database = await place.OpenAsync();
            using var key = await OpenAsync(place, database);
            await key.FinishAsync((_, _) => { }, s_none);
            await CheckAsync(database, key, extra: stopped);
            File.Exists(file + ".next").ShouldBeFalse(step);
            var after = await File.ReadAllTextAsync(file);
            if (step == "made") after.ShouldBe(before, step);
            else after.ShouldNotBe(before, step);
            // And once more, whole.
            (await key.RekeyAsync(_ => { }, (_, _) => { }, s_none)).Rewrapped.ShouldBe(Secrets + (stopped ? 1 : 0) + 1, step);
            await CheckAsync(database, key, extra: stopped);
            if (!stopped) break;
        }
        steps.ShouldBe(["made", "begun", "batch", "batch", "batch", "batch", "wrapped", "ended", "settled", ""]);
    }

    [Fact]
    public async Task A_change_that_failed_is_ended_by_the_next_try_in_the_same_process()
    {
        for (var stop = 1; stop < 9; stop++)
        {
            using var place = TestDatabase.Sqlite();
            await FillAsync(place, place.Directory.File("master.key"));
            await using var database = await place.OpenAsync();
            using var key = await OpenAsync(place, database);
            key.Stepping = StopAt(stop);
            await Should.ThrowAsync<IOException>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none));
            key.Stepping = null;
            await key.RekeyAsync(_ => { }, (_, _) => { }, s_none);
            key.IsChanging.ShouldBeFalse();
            await CheckAsync(database, key, extra: false);
        }
    }

    [Theory]
    [InlineData("file", "env")]
    [InlineData("env", "file")]
    [InlineData("file", "file")]
    [InlineData("env", "env")]
    public async Task A_key_moves_from_one_place_to_another_by_a_start_with_previous(string from, string to)
    {
        using var place = TestDatabase.Sqlite();
        var (old, next) = (Place(place, from, "1"), Place(place, to, "2"));
        await FillAsync(place, old);
        Show(old);
        Show(next);
        await using (var database = await place.OpenAsync())
        {
            using var key = await MasterKey.OpenAsync(next.Options with { Previous = old.Options }, place.Directory.Path, database, s_none);
            key.IsChanging.ShouldBeTrue();
            key.PreviousIsIdle.ShouldBeFalse();
            await CheckAsync(database, key, extra: false, whole: false);
            // Stopped here it goes on at the next start.
        }
        Show(old);
        Show(next);
        await using (var database = await place.OpenAsync())
        {
            using var key = await MasterKey.OpenAsync(next.Options with { Previous = old.Options }, place.Directory.Path, database, s_none);
            (await key.FinishAsync((_, _) => { }, s_none)).Rewrapped.ShouldBe(Secrets + 1);
            key.PreviousIsIdle.ShouldBeTrue();
            await CheckAsync(database, key, extra: false);
        }
        Show(next);
        await using (var database = await place.OpenAsync())
        {
            using var key = await MasterKey.OpenAsync(next.Options with { Previous = old.Options }, place.Directory.Path, database, s_none);
            key.PreviousIsIdle.ShouldBeTrue();
        }
        Show(old);
        await using (var database = await place.OpenAsync())
        {
            (await Should.ThrowAsync<LockstepException>(MasterKey.OpenAsync(old.Options, place.Directory.Path, database, s_none))).Message.ShouldContain("is not the one this database was made with");
        }
        Environment.SetEnvironmentVariable(old.Options.Env ?? "LOCKSTEP_TEST_NONE", null);
    }

    [Fact]
    public async Task A_change_whose_new_key_went_missing_is_told_and_nothing_is_lost_when_it_is_put_back()
    {
        using var place = TestDatabase.Sqlite();
        var file = place.Directory.File("master.key");
        await FillAsync(place, file);
        await StopAsync(place, file, 3);
        File.Move(file + ".next", file + ".away");
        await using var database = await place.OpenAsync();
        var refusal = await Should.ThrowAsync<LockstepException>(OpenAsync(place, database));
        refusal.Message.ShouldContain("does not have the new key");
        File.Move(file + ".away", file + ".next");
        using var key = await OpenAsync(place, database);
        await key.FinishAsync((_, _) => { }, s_none);
        await CheckAsync(database, key, extra: true);
    }

    [Fact]
    public async Task A_key_from_a_variable_is_not_changed_online_and_the_way_out_is_told()
    {
        using var place = TestDatabase.Sqlite();
        var variable = Place(place, "env", "9");
        await FillAsync(place, variable);
        Show(variable);
        await using var database = await place.OpenAsync();
        using var key = await MasterKey.OpenAsync(variable.Options, place.Directory.Path, database, s_none);
        var refusal = await Should.ThrowAsync<LockstepException>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none));
        refusal.Code.ShouldBe(ErrorCode.Conflict);
        refusal.Message.ShouldContain("masterKey.previous: { env: " + variable.Options.Env);
        await CheckAsync(database, key, extra: false);
    }

    [Fact]
    public async Task A_row_that_neither_key_opens_is_counted_and_left_as_it_is()
    {
        using var place = TestDatabase.Sqlite();
        await FillAsync(place, place.Directory.File("master.key"));
        await using var database = await place.OpenAsync();
        await database.WriteAsync(s => s.Execute("UPDATE secret_versions SET wrapped_key = (SELECT wrapped_key FROM secret_versions WHERE id = 's/1') WHERE id = 's/2'"), s_none);
        using var key = await OpenAsync(place, database);
        var result = await key.RekeyAsync(_ => { }, (_, _) => { }, s_none);
        result.ShouldBe(new RekeyResult { Rewrapped = Secrets, Damaged = 1 });
        (await database.ReadAsync(s => WrappedKeys.Damaged(s, key), s_none)).ShouldBe(["s/2@1"]);
    }

    [Fact]
    public async Task A_key_that_is_cleared_during_its_change_ends_nothing_and_the_next_start_goes_on()
    {
        using var place = TestDatabase.Sqlite();
        await FillAsync(place, place.Directory.File("master.key"));
        await using var database = await place.OpenAsync();
        using (var key = await OpenAsync(place, database))
        {
            var batches = 0;
            key.Stepping = step => { if (step == "batch" && ++batches == 2) key.Dispose(); };
            await Should.ThrowAsync<ObjectDisposedException>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none));
            Should.Throw<ObjectDisposedException>(() => key.Wrap(new byte[32], default));
            Should.Throw<ObjectDisposedException>(() => key.Unwrap(new byte[60], default));
            Should.Throw<ObjectDisposedException>(() => key.Derive("backup"));
        }
        (await database.ReadAsync(MasterKeyState.IsChanging, s_none)).ShouldBeTrue();
        using var next = await OpenAsync(place, database);
        (await next.FinishAsync((_, _) => { }, s_none)).Damaged.ShouldBe(0);
        await CheckAsync(database, next, extra: false);
    }

    [Fact]
    public async Task What_the_old_key_wrapped_is_in_no_file_of_the_database_after_a_change()
    {
        using var place = TestDatabase.Sqlite();
        await FillAsync(place, place.Directory.File("master.key"));
        await using var database = await place.OpenAsync();
        var old = await database.ReadAsync(s => s.Query("SELECT wrapped_key FROM secret_versions", r => r.Data(0)), s_none);
        using var key = await OpenAsync(place, database);
        await key.RekeyAsync(_ => { }, (_, _) => { }, s_none);
        foreach (var file in Directory.GetFiles(place.Directory.Path, Database.FileName + "*"))
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            old.Count(wrapped => bytes.AsSpan().IndexOf(wrapped) >= 0).ShouldBe(0, Path.GetFileName(file));
        }
        await WriteAsync(database, key, ["s/extra"]);
        await CheckAsync(database, key, extra: true);
    }

    [Fact]
    public async Task Rows_that_are_no_secrets_are_counted_and_left_as_they_are()
    {
        using var place = TestDatabase.Sqlite();
        await FillAsync(place, place.Directory.File("master.key"));
        await using var database = await place.OpenAsync();
        foreach (var (id, version) in new[] { ("a b", 1L), ("s/3", long.MaxValue), ("s/4", -1L) })
        {
            await database.WriteAsync(s => s.Execute(
                "INSERT INTO secret_versions (id, version, state, wrapped_key, created_at, created_by) SELECT @id, @version, state, wrapped_key, 0, '' FROM secret_versions WHERE id = 's/1'",
                ("@id", id), ("@version", version)), s_none);
        }
        using var key = await OpenAsync(place, database);
        (await key.RekeyAsync(_ => { }, (_, _) => { }, s_none)).ShouldBe(new RekeyResult { Rewrapped = Secrets + 1, Damaged = 3 });
        (await database.ReadAsync(s => WrappedKeys.Damaged(s, key), s_none)).ShouldBe(["a b@1", $"s/3@{long.MaxValue}", "s/4@-1"]);
        await CheckAsync(database, key, extra: false, damaged: 3);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_change_that_ended_is_settled_by_the_next_try_which_makes_no_other_key(bool blocked)
    {
        using var place = TestDatabase.Sqlite();
        var file = place.Directory.File("master.key");
        await FillAsync(place, file);
        await using var database = await place.OpenAsync();
        using var key = await OpenAsync(place, database);
        key.Stepping = step =>
        {
            if (step != "ended") return;
            // It was not known whether it ended; or the new key can't take its place.
            if (!blocked) throw new IOException(step);
            File.Delete(file);
            Directory.CreateDirectory(file);
        };
        await Should.ThrowAsync<Exception>(key.RekeyAsync(_ => { }, (_, _) => { }, s_none));
        var made = await File.ReadAllTextAsync(file + ".next");
        (key.IsChanging, key.IsUnsettled).ShouldBe((!blocked, blocked));
        if (blocked) Directory.Delete(file);
        key.Stepping = null;
        (await key.RekeyAsync(_ => { }, (_, _) => { }, s_none)).ShouldBe(new RekeyResult());
        (key.IsChanging, key.IsUnsettled).ShouldBe((false, false));
        (await File.ReadAllTextAsync(file)).ShouldBe(made);
        File.Exists(file + ".next").ShouldBeFalse();
        await CheckAsync(database, key, extra: false);
    }

    private static Action<string> StopAt(int step)
    {
        var at = 0;
        return name => { if (at++ == step) throw new IOException(name); };
    }

    // A life that ends at a step; whether it did, and at which. Another secret is written there.
    private static async Task<(bool Stopped, string Step)> StopAsync(TestDatabase place, string file, int stop)
    {
        await using var database = await place.OpenAsync();
        using var key = await OpenAsync(place, database);
        key.Stepping = StopAt(stop);
        try
        {
            await key.RekeyAsync(_ => { }, (_, _) => { }, s_none);
            return (false, "");
        }
        catch (IOException e)
        {
            await WriteAsync(database, key, ["s/extra"]);
            await CheckAsync(database, key, extra: true, whole: false);
            File.Exists(file).ShouldBeTrue();
            return (true, e.Message);
        }
    }

    private static Task FillAsync(TestDatabase place, string file) => FillAsync(place, (new MasterKeyOptions { File = file }, null));

    private static async Task FillAsync(TestDatabase place, (MasterKeyOptions Options, string? Value) from)
    {
        Show(from);
        await using var database = await place.OpenAsync();
        using var key = await MasterKey.OpenAsync(from.Options, place.Directory.Path, database, s_none);
        await database.WriteAsync(s => new KeyRing(key).GetOrCreate(s, "one"), s_none);
        await WriteAsync(database, key, Enumerable.Range(0, Secrets).Select(n => string.Create(CultureInfo.InvariantCulture, $"s/{n}")));
    }

    private static async Task WriteAsync(Database database, MasterKey key, IEnumerable<string> ids)
    {
        var store = new EmbeddedStore(database, key, TimeProvider.System);
        var writes = new List<PreparedWrite>();
        foreach (var id in ids) writes.Add(await store.WriteAsync(new SecretWrite(SecretId.Parse(id), new SecretValue("value of " + id), "test", Staged: false), null, s_none));
        await database.WriteAsync(s => { foreach (var write in writes) write.Persist!(s); return true; }, s_none);
    }

    private static async Task CheckAsync(Database database, MasterKey key, bool extra, bool whole = true, int damaged = 0)
    {
        (await database.ReadAsync(s => WrappedKeys.Damaged(s, key), s_none)).Count.ShouldBe(damaged);
        var store = new EmbeddedStore(database, key, TimeProvider.System);
        foreach (var id in (string[])["s/0", "s/199", "s/200", "s/449", .. extra ? ["s/extra"] : Array.Empty<string>()])
            (await store.ReadAsync(SecretId.Parse(id), 1, s_none)).Reveal().ShouldBe("value of " + id);
        if (whole) (await database.ReadAsync(MasterKeyState.IsChanging, s_none)).ShouldBeFalse();
    }

    private static Task<MasterKey> OpenAsync(TestDatabase place, Database database) =>
        MasterKey.OpenAsync(new MasterKeyOptions { File = place.Directory.File("master.key") }, place.Directory.Path, database, s_none);

    private static (MasterKeyOptions Options, string? Value) Place(TestDatabase place, string kind, string name) => kind == "file"
        ? (new MasterKeyOptions { File = place.Directory.File(name + ".key") }, null)
        : (new MasterKeyOptions { Env = $"LOCKSTEP_TEST_REKEY_{name}_{Guid.NewGuid():N}" }, Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)));

    // Each start takes it out of the environment.
    private static void Show((MasterKeyOptions Options, string? Value) place)
    {
        if (place.Options.Env is { } name) Environment.SetEnvironmentVariable(name, place.Value);
    }
}
