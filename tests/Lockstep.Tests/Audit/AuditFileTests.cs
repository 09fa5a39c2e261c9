using System.Text.Json;
using Lockstep.Audit;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

public sealed class AuditFileTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task A_line_is_in_the_file_before_the_wait_for_its_entry_ends(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        await using var fixture = postgres ? await PostgresAsync() : await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        await Task.WhenAll(Enumerable.Range(0, 20).Select(async worker =>
        {
            for (var i = 0; i < 10; i++)
            {
                await fixture.Log.RecordAsync(Entry(token: $"w{worker}-{i}"), s_none);
                System.IO.File.ReadAllText(Path(fixture)).ShouldContain($"\"w{worker}-{i}\"");
            }
        }));
        Seqs(fixture).ShouldBe(Enumerable.Range(1, 200).Select(i => (long)i));
        System.IO.File.GetUnixFileMode(Path(fixture)).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task A_line_begins_with_its_place_and_goes_on_with_the_text_that_the_chain_is_over()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        await fixture.Log.RecordAsync(Entry(instance: "höst-1"), s_none);
        var line = Lines(fixture).ShouldHaveSingleItem();
        var stored = (await fixture.Log.NewestAsync(new AuditQuery(), s_none)).Single().Entry;
        var mac = fixture.Log.Chain.Mac(AuditChain.Start.Mac, "node-1", 1, System.Text.Encoding.UTF8.GetBytes(stored));
        line.ShouldBe($"{{\"node\":\"node-1\",\"seq\":1,\"mac\":\"{Convert.ToBase64String(mac)}\",{stored[1..]}");
        JsonDocument.Parse(line).RootElement.GetProperty("instances")[0].GetString().ShouldBe("höst-1");
    }

    [Fact]
    public async Task Entries_of_writes_get_to_the_file_in_their_order_and_nobody_waits_for_that()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        for (var i = 0; i < 5; i++) await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write"), Entry("secret.write")); return true; }, s_none);
        await Poll.UntilAsync(() => Seqs(fixture).Count == 10, "the entries are in the file");
        Seqs(fixture).ShouldBe(Enumerable.Range(1, 10).Select(i => (long)i));
    }

    [Fact]
    public async Task An_empty_file_gets_the_whole_record_and_a_torn_line_is_written_anew()
    {
        await using var fixture = await SqliteAsync();
        for (var i = 0; i < 600; i++) await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry()); return true; }, s_none);
        await fixture.FollowAsync(File(fixture));
        await Poll.UntilAsync(() => Seqs(fixture).Count == 600, "the record is in the file");
        await fixture.ForgetAsync();
        var whole = await System.IO.File.ReadAllBytesAsync(Path(fixture));
        // A crash may leave any beginning of a line.
        foreach (var cut in new[] { 1, 20, 700 })
        {
            await System.IO.File.WriteAllBytesAsync(Path(fixture), whole[..^cut]);
            await fixture.FollowAsync(File(fixture));
            await Poll.UntilAsync(() => Seqs(fixture).Count == 600, "the end is there again");
            await fixture.ForgetAsync();
            (await System.IO.File.ReadAllBytesAsync(Path(fixture))).ShouldBe(whole);
        }
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    public async Task Through_restarts_torn_lines_and_files_put_aside_every_entry_is_there_once(int seed)
    {
        await using var fixture = await SqliteAsync();
        var random = new Random(seed);
        var options = new AuditOptions { File = Path(fixture), MaxFileSize = 4000 };
        await fixture.FollowAsync(new AuditFileSink(options, fixture.Time));
        var (count, renamed) = (0, 0);
        for (var step = 0; step < 120; step++)
        {
            switch (random.Next(10))
            {
                case < 7:
                    await fixture.Log.RecordAsync(Entry(token: $"t{count++}", instance: new string('x', random.Next(1, 100))), s_none);
                    break;
                case 7:
                    await fixture.ForgetAsync();
                    // What a crash leaves of the line that was being written.
                    if (random.Next(2) == 0) await System.IO.File.AppendAllTextAsync(Path(fixture), "{\"node\":\"node-1\",\"seq\":99");
                    await fixture.FollowAsync(new AuditFileSink(options, fixture.Time));
                    break;
                case 8 when System.IO.File.Exists(Path(fixture)) && new FileInfo(Path(fixture)).Length > 0:
                    // As other programs do, under the server.
                    System.IO.File.Move(Path(fixture), $"{Path(fixture)}.{++renamed}");
                    if (random.Next(2) == 0) await System.IO.File.WriteAllTextAsync(Path(fixture), "");
                    break;
                default:
                    fixture.Time.Advance(TimeSpan.FromSeconds(random.Next(3)));
                    await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write")); return true; }, s_none);
                    count++;
                    break;
            }
        }
        await fixture.Log.RecordAsync(Entry(token: "last"), s_none);
        var seqs = System.IO.Directory.GetFiles(fixture.Directory.Path, "audit.jsonl*").SelectMany(Seqs).Order().ToList();
        seqs.ShouldBe(Enumerable.Range(1, count + 1).Select(i => (long)i), $"seed {seed}");
        System.IO.Directory.GetFiles(fixture.Directory.Path, "audit.jsonl*").Length.ShouldBeGreaterThan(3);
        foreach (var file in System.IO.Directory.GetFiles(fixture.Directory.Path, "audit.jsonl*")) Seqs(file).ShouldBe(Seqs(file).Order());
    }

    [Fact]
    public async Task Only_so_many_files_are_kept_as_the_settings_say()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(new AuditFileSink(new AuditOptions { File = Path(fixture), MaxFileSize = 1000, KeepFiles = 2 }, fixture.Time));
        for (var i = 0; i < 30; i++)
        {
            await fixture.Log.RecordAsync(Entry(token: $"t{i}"), s_none);
            fixture.Time.Advance(TimeSpan.FromSeconds(1));
        }
        var aside = System.IO.Directory.GetFiles(fixture.Directory.Path).Where(f => f.StartsWith(Path(fixture) + ".", StringComparison.Ordinal)).ToArray();
        aside.Length.ShouldBe(2);
        var kept = aside.Append(Path(fixture)).SelectMany(Seqs).Order().ToList();
        kept.ShouldBe(Enumerable.Range((int)kept[0], 31 - (int)kept[0]).Select(i => (long)i));
    }

    [Fact]
    public async Task A_row_that_was_edited_before_it_got_to_the_file_stands_there_as_damaged()
    {
        await using var fixture = await SqliteAsync();
        await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry(), Entry(), Entry()); return true; }, s_none);
        await fixture.ExecuteAsync("UPDATE audit SET entry = '{\"at\":\"x\nforged\"}' WHERE seq = 2");
        await fixture.FollowAsync(File(fixture));
        await Poll.UntilAsync(() => Seqs(fixture).Count == 3, "the lines are there");
        var lines = Lines(fixture);
        lines[1].ShouldContain("\"action\":\"damaged\"");
        lines[1].ShouldNotContain("forged");
        lines[2].ShouldContain("\"action\":\"config.read\"");
    }

    [Fact]
    public async Task A_tail_that_is_cut_while_the_server_runs_is_told_and_what_comes_then_is_in_the_file()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        for (var i = 0; i < 10; i++) await fixture.Log.RecordAsync(Entry(token: $"t{i}"), s_none);
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq > 6");
        await fixture.Log.RecordAsync(Entry(token: "after"), s_none);
        Lines(fixture)[^1].ShouldContain("\"after\"");
        Seqs(fixture).ShouldBe([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 7]);
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(7);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_cut_of_entries_that_nobody_waited_for_is_told_and_what_comes_then_is_in_the_file(bool restarted)
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        await fixture.Log.RecordAsync(Entry(), s_none);
        for (var i = 0; i < 5; i++) await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write")); return true; }, s_none);
        await Poll.UntilAsync(() => fixture.Log.Sinks[0].Position == 6, "the entries are in the file");
        if (restarted)
        {
            await fixture.ForgetAsync();
            await fixture.FollowAsync(File(fixture));
        }
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq > 4");
        await fixture.Log.RecordAsync(Entry(token: "after"), s_none);
        Lines(fixture)[^1].ShouldContain("\"after\"");
        Seqs(fixture).ShouldBe([1, 2, 3, 4, 5, 6, 5]);
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(5);
    }

    [Fact]
    public async Task A_disclosure_whose_entry_does_not_fit_is_refused_and_told()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        for (var i = 0; i < 5; i++) await fixture.Log.RecordAsync(Entry(token: $"t{i}"), s_none);
        await fixture.ExecuteAsync("UPDATE audit SET mac = zeroblob(32) WHERE seq = 5");
        var refused = await Should.ThrowAsync<Lockstep.Client.LockstepException>(fixture.Log.RecordAsync(Entry(token: "refused"), s_none));
        refused.Message.ShouldContain("the record was changed");
        Lines(fixture)[^1].ShouldContain("\"action\":\"damaged\"");
        // The next one has its line, and the story is not forgotten when the row is gone.
        await fixture.Log.RecordAsync(Entry(token: "next"), s_none);
        Lines(fixture)[^1].ShouldContain("\"next\"");
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq >= 5");
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(6);
    }

    [Fact]
    public async Task A_disclosure_whose_entry_the_database_dropped_does_not_take_the_next_one_for_its_own()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        await fixture.ExecuteAsync("CREATE TRIGGER dropped BEFORE INSERT ON audit WHEN NEW.token = 'thief' BEGIN SELECT RAISE(IGNORE); END");
        var dropped = fixture.Log.RecordAsync(Entry(token: "thief"), s_none);
        // Is written after it.
        await fixture.ExecuteAsync("UPDATE meta SET number = number");
        await fixture.Log.RecordAsync(Entry(token: "other"), s_none);
        var refused = await Should.ThrowAsync<Lockstep.Client.LockstepException>(dropped.WaitAsync(TimeSpan.FromSeconds(30)));
        refused.Message.ShouldContain("the record was changed");
        Seqs(fixture).ShouldBe([1]);
    }

    [Fact]
    public async Task How_far_a_sink_is_behind_counts_the_entries_of_writes()
    {
        await using var fixture = await SqliteAsync();
        using var go = new ManualResetEventSlim();
        await fixture.FollowAsync(new AuditStreamSink(_ => go.Wait(), "the stream"));
        for (var i = 0; i < 5; i++) await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write")); return true; }, s_none);
        fixture.Log.SinksBehind.ShouldBe(5);
        go.Set();
        await Poll.UntilAsync(() => fixture.Log.SinksBehind == 0, "it has them");
        await fixture.ForgetAsync();
    }

    [Fact]
    public async Task A_file_beside_that_cannot_be_read_does_not_end_the_start()
    {
        await using var fixture = await SqliteAsync();
        System.IO.File.CreateSymbolicLink(Path(fixture) + ".1", fixture.Directory.File("nowhere"));
        await fixture.FollowAsync(File(fixture));
        await fixture.Log.RecordAsync(Entry(), s_none);
        Seqs(fixture).ShouldBe([1]);
    }

    [Fact]
    public async Task A_file_that_goes_on_after_the_records_end_is_told_and_the_record_is_written_after_it()
    {
        await using var fixture = await SqliteAsync();
        await fixture.FollowAsync(File(fixture));
        for (var i = 0; i < 10; i++) await fixture.Log.RecordAsync(Entry(token: $"t{i}"), s_none);
        await fixture.ForgetAsync();
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq > 6");
        await fixture.FollowAsync(File(fixture));
        var found = await fixture.VerifyAsync();
        found.Valid.ShouldBeFalse();
        found.FirstBad!.Seq.ShouldBe(7);
        found.FirstBad.Reason.ShouldContain("goes on to 10");
        await fixture.Log.RecordAsync(Entry(token: "after"), s_none);
        Seqs(fixture).ShouldBe([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6, 7]);
    }

    private static AuditFileSink File(AuditFixture fixture) => new(new AuditOptions { File = Path(fixture) }, fixture.Time);

    private static string Path(AuditFixture fixture) => fixture.Directory.File("audit.jsonl");

    private static List<string> Lines(AuditFixture fixture) => [.. System.IO.File.ReadAllLines(Path(fixture))];

    private static List<long> Seqs(AuditFixture fixture) => System.IO.File.Exists(Path(fixture)) ? Seqs(Path(fixture)) : [];

    // A line that is being written counts when it is whole.
    private static List<long> Seqs(string file)
    {
        var text = System.IO.File.ReadAllText(file);
        return [.. text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement.GetProperty("seq").GetInt64())];
    }
}
