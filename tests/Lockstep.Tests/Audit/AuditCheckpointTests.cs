using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

/// <summary>What is found by what stands outside the database, and what may be deleted without being found.</summary>
[Trait("speed", "medium")]
public sealed class AuditCheckpointTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Theory]
    [InlineData("DELETE FROM audit WHERE seq > 12", 13, "ends before entry 15")]
    [InlineData("DELETE FROM audit WHERE seq > 3", 4, "ends before entry 15")]
    [InlineData("DELETE FROM audit", 1, "ends before entry 15")]
    [InlineData("UPDATE audit SET entry = 'x' WHERE seq = 4", 4, "changed")]
    public async Task A_cut_tail_is_found(string damage, long seq, string reason)
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 15 });
        await fixture.ExecuteAsync(damage);
        var found = await fixture.VerifyAsync();
        found.Valid.ShouldBeFalse();
        found.FirstBad!.Seq.ShouldBe(seq);
        found.FirstBad.Reason.ShouldContain(reason);
        found.FirstBad.Node.ShouldBe("node-1");
    }

    [Fact]
    public async Task A_tail_that_was_cut_and_grew_again_is_found_where_a_checkpoint_saw_another_entry()
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq > 7");
        for (var i = 0; i < 20; i++) await fixture.Log.RecordAsync(Entry(token: $"other{i}"), s_none);
        await fixture.CheckpointAsync();
        var found = await fixture.VerifyAsync();
        found.FirstBad!.Seq.ShouldBe(10);
        found.FirstBad.Reason.ShouldContain("is not the one that the checkpoint");
    }

    [Fact]
    public async Task A_checkpoint_that_was_not_made_by_this_server_is_found_and_a_torn_one_is_not_taken_for_it()
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        await File.AppendAllTextAsync(fixture.Checkpoints.Path, "{\"node\":\"node-1\",\"seq\":9");
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
        // The next one takes its place.
        await fixture.CheckpointAsync();
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
        var lines = await File.ReadAllLinesAsync(fixture.Checkpoints.Path);
        lines.Length.ShouldBe(4);
        foreach (var forged in new[] { lines[0].Replace("\"seq\":5", "\"seq\":6"), lines[0].Replace("node-1", "node-2"), "x", "{}", "" })
        {
            await File.WriteAllLinesAsync(fixture.Checkpoints.Path, [forged, .. lines[1..]]);
            var found = await fixture.VerifyAsync();
            found.Valid.ShouldBeFalse(forged);
            found.FirstBad!.Reason.ShouldContain("line 1 of the checkpoints");
        }
        File.GetUnixFileMode(fixture.Checkpoints.Path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task Old_checkpoints_thin_out_and_those_that_tell_of_a_cut_stay()
    {
        using var folder = new TempDirectory();
        var checkpoints = new AuditCheckpoints(folder.File("checkpoints"), new byte[32], TimeProvider.System);
        var at = DateTimeOffset.UnixEpoch;
        var mac = new byte[AuditChain.MacBytes];
        for (var seq = 1; seq <= 300; seq++) await checkpoints.AddAsync("n", new AuditTail(seq, mac), at += TimeSpan.FromMinutes(1), s_none);
        var bad = "not one of ours";
        File.AppendAllText(checkpoints.Path, bad + "\n");
        long largest = 0;
        for (var seq = 200; seq <= 9000; seq++)
        {
            await checkpoints.AddAsync("n", new AuditTail(seq, mac), at += TimeSpan.FromMinutes(1), s_none);
            largest = Math.Max(largest, new FileInfo(checkpoints.Path).Length);
        }
        var kept = await checkpoints.ReadAsync(s_none);
        largest.ShouldBeLessThan(1024 * 1024 + 1024);
        kept.Count(c => c is null).ShouldBe(1);
        kept.OfType<SignedTail>().Count(c => c.Seq == 300).ShouldBeGreaterThan(0);
        // Still in their order, the newest all there.
        kept.OfType<SignedTail>().Select(c => c.At).ShouldBeInOrder();
        kept.OfType<SignedTail>().TakeLast(1000).Select(c => c.Seq).ShouldBe(Enumerable.Range(8001, 1000).Select(i => (long)i));
        kept.OfType<SignedTail>().First().Seq.ShouldBe(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("speed", "medium")]
    public async Task Old_entries_are_deleted_up_to_a_checkpoint_and_the_rest_verifies(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        await using var fixture = postgres ? await PostgresAsync() : await SqliteAsync();
        for (var day = 0; day < 10; day++)
        {
            await fixture.Database.WriteAsync(s => { for (var i = 0; i < 300; i++) fixture.Log.Append(s, Entry(token: $"t{i}")); return true; }, s_none);
            await fixture.CheckpointAsync();
            fixture.Time.Advance(TimeSpan.FromDays(1));
        }
        fixture.Log.Attach([], fixture.Checkpoints);
        (await fixture.RetainAsync(TimeSpan.FromDays(20))).ShouldBe(0);
        (await fixture.VerifyAsync()).Entries.ShouldBe(3000);
        // The checkpoints of the first five days are older than five days.
        (await fixture.RetainAsync(TimeSpan.FromDays(5))).ShouldBe(1800);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 1201 });
        var newest = (await fixture.Log.NewestAsync(new AuditQuery { Action = "audit.retention" }, s_none)).ShouldHaveSingleItem();
        newest.Parse()!.Detail!.ShouldContain("1800 entries");
        newest.Position.Seq.ShouldBe(3001);
        (await fixture.RetainAsync(TimeSpan.FromDays(5))).ShouldBe(0);
        // All is old: the last entry stays, or the chain would begin anew.
        fixture.Time.Advance(TimeSpan.FromDays(100));
        await fixture.CheckpointAsync();
        fixture.Time.Advance(TimeSpan.FromDays(100));
        (await fixture.RetainAsync(TimeSpan.FromDays(5))).ShouldBe(1200);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 2 });
        await fixture.Log.RecordAsync(Entry(), s_none);
        (await fixture.AllAsync()).Count.ShouldBe(3);
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task What_a_sink_has_not_got_is_not_deleted()
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        using var pipe = new System.IO.Pipes.AnonymousPipeServerStream(System.IO.Pipes.PipeDirection.In);
        var folder = System.IO.Directory.CreateDirectory(fixture.Directory.File("logs")).FullName;
        await fixture.FollowAsync(new AuditFileSink(new AuditOptions { File = System.IO.Path.Combine(folder, "audit.jsonl") }, fixture.Time));
        await Poll.UntilAsync(() => fixture.Log.Sinks[0].Position == 15, "the file has them");
        System.IO.Directory.Move(folder, folder + ".gone");
        await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry(), Entry(), Entry()); return true; }, s_none);
        await fixture.CheckpointAsync();
        await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry()); return true; }, s_none);
        fixture.Time.Advance(TimeSpan.FromDays(10));
        (await fixture.RetainAsync(TimeSpan.FromDays(1))).ShouldBe(15);
        System.IO.Directory.Move(folder + ".gone", folder);
        await Poll.UntilAsync(() => fixture.Log.Sinks[0].Position == 20, "the file has all");
        (await fixture.RetainAsync(TimeSpan.FromDays(1))).ShouldBe(3);
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
    }

    [Theory]
    [InlineData("UPDATE audit SET entry = 'x' WHERE seq = 3")]
    [InlineData("DELETE FROM audit WHERE seq = 3")]
    [InlineData("DELETE FROM audit WHERE seq <= 3")]
    [InlineData("UPDATE audit SET mac = x'00' WHERE seq = 10")]
    public async Task What_does_not_fit_is_not_deleted(string damage)
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        await fixture.ExecuteAsync(damage);
        var left = (await fixture.AllAsync()).Count;
        fixture.Time.Advance(TimeSpan.FromDays(10));
        var refused = await Should.ThrowAsync<LockstepException>(fixture.RetainAsync(TimeSpan.FromDays(1)));
        refused.Message.ShouldContain("lockstep audit verify");
        (await fixture.Database.ReadAsync(s => s.First("SELECT COUNT(*) FROM audit", r => r.GetInt64(0)), s_none)).ShouldBe(left);
        (await fixture.VerifyAsync()).Valid.ShouldBeFalse();
    }

    [Fact]
    public async Task A_cut_from_the_beginning_with_a_forged_anchor_is_found()
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        fixture.Time.Advance(TimeSpan.FromDays(10));
        (await fixture.RetainAsync(TimeSpan.FromDays(1))).ShouldBe(10);
        (await fixture.VerifyAsync()).Valid.ShouldBeTrue();
        var (mac, genuine) = await fixture.Database.ReadAsync(
            s => (s.First("SELECT mac FROM audit WHERE seq = 13", r => r.GetFieldValue<byte[]>(0))!, Meta.GetData(s, "audit-anchor:node-1")!), s_none);
        await fixture.ExecuteAsync("DELETE FROM audit WHERE seq <= 13");
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(11);

        // Signed with the wrong key, with the genuine signature, with that of a checkpoint of the same entry, and none.
        var forged = SignedTail.Sign(new byte[32], "node-1", new AuditTail(13, mac), fixture.Time.GetUtcNow());
        var checkpoint = SignedTail.Sign(fixture.Log.Derive("checkpoints"), "node-1", new AuditTail(13, mac), fixture.Time.GetUtcNow());
        foreach (var anchor in new[] { forged.Serialize(), (forged with { Signature = SignedTail.Parse(genuine)!.Signature }).Serialize(), checkpoint.Serialize(), "x"u8.ToArray() })
        {
            await fixture.Database.WriteAsync(s => { Meta.SetData(s, "audit-anchor:node-1", anchor); return true; }, s_none);
            var found = await fixture.VerifyAsync();
            found.Valid.ShouldBeFalse();
            found.FirstBad!.Reason.ShouldContain("anchor");
        }
        await fixture.ExecuteAsync("DELETE FROM meta WHERE name = 'audit-anchor:node-1'");
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(1);
    }

    [Fact]
    public async Task What_stands_where_old_entries_were_deleted_is_found_and_stays()
    {
        await using var fixture = await SqliteAsync();
        await FillAsync(fixture);
        fixture.Time.Advance(TimeSpan.FromDays(10));
        (await fixture.RetainAsync(TimeSpan.FromDays(13))).ShouldBe(0);
        (await fixture.RetainAsync(TimeSpan.FromDays(1))).ShouldBe(10);
        await fixture.ExecuteAsync("INSERT INTO audit SELECT node, 3, at, action, token, entry, mac, parent FROM audit WHERE seq = 13");
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(3);
        await fixture.CheckpointAsync();
        fixture.Time.Advance(TimeSpan.FromDays(10));
        (await fixture.RetainAsync(TimeSpan.FromDays(1))).ShouldBeGreaterThan(0);
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(3);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_start_tells_of_checkpoints_that_it_cannot_believe()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        await server.StopAsync();
        await File.WriteAllTextAsync(server.Options.Data + "/audit.checkpoints", "not one of ours\n");
        await server.StartAsync();
        var ready = await server.Admin.GetAsync("/readyz");
        ready.Status.ShouldBe(200);
        ready.Json.GetProperty("checks").GetProperty("audit").GetString()!.ShouldStartWith("warning: line 1 of the checkpoints was not made by this server");
        server.Logs.Lines.ShouldContain(l => l.Contains("Line 1 of the checkpoints", StringComparison.Ordinal));
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_start_tells_of_a_cut_tail_and_stays_ready_and_the_evidence_stays()
    {
        using var repository = new TestRepository();
        repository.Commit(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        for (var i = 0; i < 5; i++) await server.AsAsync("viewer");
        await server.StopAsync();
        var noted = await File.ReadAllLinesAsync(server.Options.Data + "/audit.checkpoints");
        await server.StartAsync();
        (await server.Admin.GetAsync("/readyz")).Json.GetProperty("checks").GetProperty("audit").GetString().ShouldBe("ok");
        (await server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
        await server.ExecuteAsync("DELETE FROM audit WHERE seq > 3");
        await server.StopAsync();
        await server.StartAsync();
        var ready = await server.Admin.GetAsync("/readyz");
        ready.Status.ShouldBe(200);
        ready.Json.GetProperty("checks").GetProperty("audit").GetString()!.ShouldStartWith("warning: the record ends at entry 3");
        server.Logs.Lines.ShouldContain(l => l.Contains("was cut", StringComparison.Ordinal));
        var found = (await server.Admin.GetAsync("/v1/audit/verify")).Json;
        found.GetProperty("valid").GetBoolean().ShouldBeFalse();
        found.GetProperty("firstBad").GetProperty("seq").GetInt64().ShouldBe(4);
        (await File.ReadAllLinesAsync(server.Options.Data + "/audit.checkpoints")).Take(noted.Length).ShouldBe(noted);
    }

    // Checkpoints at 5, 10 and 15.
    private static async Task FillAsync(AuditFixture fixture)
    {
        for (var i = 1; i <= 15; i++)
        {
            await fixture.Log.RecordAsync(Entry(token: $"t{i}"), s_none);
            if (i % 5 == 0) await fixture.CheckpointAsync();
        }
        fixture.Log.Attach([], fixture.Checkpoints);
    }
}
