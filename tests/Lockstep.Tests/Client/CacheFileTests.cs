using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

public sealed class CacheFileTests
{
    private static readonly Subscription s_names = new("payments", "production", null);

    [Fact]
    public async Task Without_a_server_a_fresh_cache_opens_and_the_server_is_told_what_is_held_when_it_comes()
    {
        using var directory = new TempDirectory();
        var gone = await FakeWatchServer.StartAsync();
        var address = gone.Address;
        await gone.DisposeAsync();
        var options = StoreBench.Options(address) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromMilliseconds(200) };
        WriteGood(options.CacheFile);
        await using var store = await LockstepStore.OpenAsync(options);
        store.Current.Text("a").ShouldBe("1");
        (store.Status.FromCache, store.Status.Connected).ShouldBe((true, false));
        store.CachedAt.ShouldNotBeNull();
        store.Status.Reason!.ShouldContain("nothing listens");
        store.CacheProblem.ShouldBeNull();
        var changes = 0;
        store.Changed += (_, _) => Interlocked.Increment(ref changes);

        await using var server = await FakeWatchServer.StartAsync(address.Port);
        var connection = await server.GreetAsync();
        (connection.Subscribed.GetProperty("etag").GetString(), connection.Subscribed.GetProperty("release").GetInt64()).ShouldBe(("t7", 7));
        await connection.CurrentAsync(8, "t7");
        await connection.ReadAsync("applied");
        (store.Status.FromCache, store.Status.Connected, changes).ShouldBe((false, true, 0));
        await connection.ChangeAsync(8, 9, """{"a":2}""");
        await connection.ReadAsync("applied");
        changes.ShouldBe(1);
        await Poll.UntilAsync(() => Read(options.CacheFile).Snapshot.Text("a") == "2", "the new document in the cache");
    }

    [Fact]
    public async Task A_good_cache_is_taken_as_soon_as_every_address_has_failed_and_says_when_it_was_confirmed()
    {
        using var directory = new TempDirectory();
        var gone = new[] { await FakeWatchServer.StartAsync(), await FakeWatchServer.StartAsync() };
        var addresses = gone.Select(g => g.Address).ToList();
        foreach (var server in gone) await server.DisposeAsync();
        var options = StoreBench.Options(addresses) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromHours(1) };
        options = options with { Timing = options.Timing with { CachePatience = TimeSpan.FromHours(1) } };
        WriteGood(options.CacheFile, age: TimeSpan.FromHours(3));
        await using var store = await LockstepStore.OpenAsync(options).WaitAsync(FakeWatchServer.Deadline);
        store.Status.FromCache.ShouldBeTrue();
        store.CachedAt!.Value.ShouldBe(TimeProvider.System.GetUtcNow() - TimeSpan.FromHours(3), TimeSpan.FromMinutes(5));
    }

    [Fact]
    public async Task A_good_cache_is_taken_soon_when_an_address_only_lets_wait()
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        server.Deaf = true;
        var options = StoreBench.Options(server.Address) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromHours(1) };
        options = options with { Timing = options.Timing with { CachePatience = TimeSpan.FromMilliseconds(100) } };
        WriteGood(options.CacheFile);
        await using var store = await LockstepStore.OpenAsync(options).WaitAsync(FakeWatchServer.Deadline);
        (store.Status.FromCache, store.Status.Connected).ShouldBe((true, false));
    }

    [Fact]
    public async Task A_cache_that_is_refused_is_named_with_its_reason_when_no_server_answers()
    {
        using var directory = new TempDirectory();
        var gone = await FakeWatchServer.StartAsync();
        var address = gone.Address;
        await gone.DisposeAsync();
        var options = StoreBench.Options(address) with { CacheFile = directory.File("cache"), StartTimeout = TimeSpan.FromMilliseconds(100) };
        WriteGood(options.CacheFile, age: TimeSpan.FromHours(25));
        var e = await Should.ThrowAsync<LockstepException>(() => LockstepStore.OpenAsync(options));
        e.Code.ShouldBe(ErrorCode.Unavailable);
        e.Message.ShouldContain("nothing listens");
        e.Message.ShouldContain("25 hours ago");
    }

    [Fact]
    public void The_file_is_its_owners_alone_and_holds_nothing_in_the_clear()
    {
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        WriteGood(path);
        WriteGood(path);
        File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Directory.GetFiles(directory.Path).ShouldBe([path]);
        var text = Encoding.Latin1.GetString(File.ReadAllBytes(path));
        foreach (var word in new[] { "hunter2", "payments", "values", StoreBench.Token }) text.ShouldNotContain(word);
        Read(path).Snapshot.Text("p").ShouldBe("hunter2");
    }

    [Fact]
    public void Every_refusal_has_a_reason_of_its_own()
    {
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        Reason(path).ShouldContain("there is no");

        WriteGood(path, age: TimeSpan.FromHours(25));
        Reason(path).ShouldContain("25 hours ago");
        WriteGood(path, age: TimeSpan.FromMinutes(-6));
        Reason(path).ShouldContain("from the future");
        WriteGood(path, age: TimeSpan.FromMinutes(-4));
        Read(path).Snapshot.Release.ShouldBe(7);

        WriteGood(path);
        Reason(path, token: "lks_other").ShouldContain("another token");
        Reason(path, token: null).ShouldContain("without a token");
        Reason(path, names: s_names with { Environment = "staging" }).ShouldContain("another document");
        Reason(path, names: s_names with { Label = "main" }).ShouldContain("another document");
        foreach (var others in new[] { UnixFileMode.GroupRead, UnixFileMode.OtherRead, UnixFileMode.GroupWrite, UnixFileMode.OtherWrite })
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | others);
            Reason(path).ShouldContain("others than its owner");
        }
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Read(path).Snapshot.Release.ShouldBe(7);
        using (var file = new FileStream(path, FileMode.Open)) file.SetLength(CacheFile.MaxBytes + 1);
        Reason(path).ShouldContain("larger than 32 MiB");
    }

    [Fact]
    public void A_file_of_another_user_is_refused()
    {
        // Only root can give a file away.
        if (!Environment.IsPrivilegedProcess) return;
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        WriteGood(path);
        using (var chown = Process.Start(new ProcessStartInfo("chown", ["65534:65534", path]))!) chown.WaitForExit();
        Reason(path).ShouldContain("belongs to another user");
    }

    [Fact]
    public async Task What_is_no_file_is_refused_and_not_waited_for()
    {
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        using (var made = Process.Start(new ProcessStartInfo("mkfifo", ["-m", "600", path]))!) made.WaitForExit();
        (await Task.Run(() => Reason(path)).WaitAsync(FakeWatchServer.Deadline)).ShouldContain("is not a regular file");
        File.CreateSymbolicLink(directory.File("link"), path);
        (await Task.Run(() => Reason(directory.File("link"))).WaitAsync(FakeWatchServer.Deadline)).ShouldContain("is not a regular file");
        Reason(directory.Path).ShouldContain("is not a regular file");
        Reason("/dev/null").ShouldContain("is not a regular file");
        WriteGood(directory.File("good"));
        File.Delete(directory.File("link"));
        File.CreateSymbolicLink(directory.File("link"), directory.File("good"));
        Read(directory.File("link")).Snapshot.Release.ShouldBe(7);
    }

    [Fact]
    public void Any_byte_that_is_altered_and_any_end_that_is_cut_off_is_noticed()
    {
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        WriteGood(path);
        var good = File.ReadAllBytes(path);
        for (var length = 0; length < good.Length; length++)
        {
            File.WriteAllBytes(path, good[..length]);
            Reason(path).ShouldContain("torn");
        }
        for (var at = 0; at < good.Length; at++)
        {
            var bad = (byte[])good.Clone();
            bad[at] ^= 1;
            File.WriteAllBytes(path, bad);
            Reason(path).ShouldNotBeEmpty();
        }
        File.WriteAllBytes(path, [.. good, 0]);
        Reason(path).ShouldContain("torn");
    }

    [Fact]
    public async Task A_cache_that_can_not_be_written_is_told_and_breaks_nothing()
    {
        using var directory = new TempDirectory();
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""", StoreBench.Options(server.Address) with { CacheFile = directory.File("no/such/cache") });
        await using var _ = store;
        await Poll.UntilAsync(() => store.CacheProblem?.Contains("can't be written", StringComparison.Ordinal) == true, "the problem");
        await connection.ReadAsync("applied");
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"precious\":1}")]
    public async Task A_file_that_is_no_cache_is_neither_replaced_nor_deleted(string text)
    {
        using var directory = new TempDirectory();
        var path = directory.File("appsettings.json");
        File.WriteAllText(path, text);
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""", StoreBench.Options(server.Address) with { CacheFile = path });
        await using var _ = store;
        await Poll.UntilAsync(() => store.CacheProblem?.Contains("is left as it is", StringComparison.Ordinal) == true, "the problem");
        server.Refuse = _ => 401;
        var rejected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        store.Rejected += (_, _) => rejected.TrySetResult();
        await connection.CloseAsync(4401);
        await rejected.Task.WaitAsync(FakeWatchServer.Deadline);
        File.ReadAllText(path).ShouldBe(text);
        Directory.GetFiles(directory.Path).ShouldBe([path]);
    }

    [Fact]
    public async Task A_cache_that_somebody_removed_is_written_again()
    {
        using var directory = new TempDirectory();
        var path = directory.File("cache");
        await using var server = await FakeWatchServer.StartAsync();
        var (store, connection) = await StoreBench.OpenAsync(server, """{"a":1}""", StoreBench.Options(server.Address) with { CacheFile = path });
        await using var _ = store;
        await Poll.UntilAsync(() => File.Exists(path), "the cache");
        File.Delete(path);
        await connection.SendAsync($$"""{"op":"stale","id":{{connection.Id}},"since":null,"reason":null}""");
        await Poll.UntilAsync(() => File.Exists(path), "the cache again");
    }

    internal static void WriteGood(string path, TimeSpan age = default)
    {
        var snapshot = new Snapshot
        {
            Release = 7, Commit = "9f1c", Service = "payments", Environment = "production", Label = "main", ETag = "t7",
            Values = new Dictionary<string, JsonElement>(StringComparer.Ordinal) { ["a"] = JsonElement.Parse("1"), ["p"] = JsonElement.Parse("\"hunter2\"") }, Secrets = ["p"],
        };
        CacheFile.Write(path, StoreBench.Token, s_names, new CacheContent("e1", snapshot), TimeProvider.System.GetUtcNow() - age);
    }

    private static CacheContent Read(string path) => CacheFile.Read(path, StoreBench.Token, s_names, TimeSpan.FromHours(24), TimeProvider.System.GetUtcNow());

    private static string Reason(string path, string? token = StoreBench.Token, Subscription? names = null) =>
        Should.Throw<LockstepException>(() => CacheFile.Read(path, token, names ?? s_names, TimeSpan.FromHours(24), TimeProvider.System.GetUtcNow())).Message;
}
