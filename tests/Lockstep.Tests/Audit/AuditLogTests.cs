using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

public sealed class AuditLogTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task The_text_of_an_entry_is_fixed()
    {
        await using var fixture = await SqliteAsync();
        await fixture.Log.RecordAsync(Entry(instance: "höst-1") with { Release = 7, Route = "GET /v1/config", Address = "10.0.0.1" }, s_none);
        var record = (await fixture.Log.NewestAsync(new AuditQuery(), s_none)).ShouldHaveSingleItem();
        record.Entry.ShouldBe(
            """{"at":"2030-03-17T17:46:40.123+00:00","action":"config.read","decision":"allowed","actor":"ci","tokenId":"t1","address":"10.0.0.1","instances":["h\u00F6st-1"],"route":"GET /v1/config","subject":"payments/dev","release":7,"secrets":["a/b@1","c@2"],"count":1}""");
        record.Position.ShouldBe(new AuditCursor(1_900_000_000_123, "node-1", 1));
    }

    [Fact]
    public async Task Equal_disclosures_that_wait_together_become_one_entry()
    {
        await using var fixture = await SqliteAsync();
        var go = await fixture.HoldWriterAsync();
        var tasks = new List<Task>();
        for (var i = 0; i < 50; i++) tasks.Add(fixture.Log.RecordAsync(Entry(instance: $"i{i % 5}") with { Trace = $"t{i}", At = DateTimeOffset.UnixEpoch.AddSeconds(i) }, s_none));
        tasks.Add(fixture.Log.RecordAsync(Entry(token: "t2"), s_none));
        go();
        await Task.WhenAll(tasks);
        var all = await fixture.AllAsync();
        all.Select(e => e.Count).ShouldBe([50, 1]);
        all[0].Instances.ShouldBe(["i0", "i1", "i2", "i3", "i4"]);
        (all[0].Trace, all[0].At).ShouldBe(("t0", DateTimeOffset.UnixEpoch));
    }

    [Fact]
    public async Task An_entry_names_at_most_a_hundred_instances()
    {
        await using var fixture = await SqliteAsync();
        var go = await fixture.HoldWriterAsync();
        var tasks = Enumerable.Range(0, 250).Select(i => fixture.Log.RecordAsync(Entry(instance: $"i{i}"), s_none)).ToList();
        go();
        await Task.WhenAll(tasks);
        (await fixture.AllAsync()).Select(e => (e.Count, e.Instances.Count)).ShouldBe([(100, 100), (100, 100), (50, 50)]);
    }

    [Fact]
    public async Task Whatever_differs_in_what_was_disclosed_stays_apart_and_denials_are_entered_one_by_one()
    {
        await using var fixture = await SqliteAsync();
        AuditEntry[] entries =
        [
            Entry(), Entry() with { Secrets = ["a/b@2", "c@2"] }, Entry() with { Release = 2 }, Entry() with { Address = "::1" }, Entry(subject: "x"),
            Entry() with { Actor = "other" }, Entry() with { Route = "watch" }, Entry() with { Detail = "d" }, Entry("secret.read"),
            Entry(decision: AuditEntry.Denied), Entry(decision: AuditEntry.Denied),
        ];
        var go = await fixture.HoldWriterAsync();
        var tasks = entries.Select(e => fixture.Log.RecordAsync(e, s_none)).ToList();
        go();
        await Task.WhenAll(tasks);
        (await fixture.AllAsync()).Count.ShouldBe(entries.Length);
    }

    [Fact]
    public async Task An_entry_appended_in_a_write_is_there_with_it_or_not_at_all()
    {
        await using var fixture = await SqliteAsync();
        await fixture.Database.WriteAsync(s => { fixture.Log.Append(s, Entry("secret.write")); return true; }, s_none);
        await Should.ThrowAsync<InvalidOperationException>(fixture.Database.WriteAsync<bool>(s =>
        {
            fixture.Log.Append(s, Entry("secret.write"));
            throw new InvalidOperationException();
        }, s_none));
        await fixture.Log.RecordAsync(Entry(), s_none);
        (await fixture.AllAsync()).Select(e => e.Action).ShouldBe(["secret.write", "config.read"]);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 2 });
    }

    [Fact]
    public async Task The_record_is_read_newest_first_by_pages_and_followed_by_number()
    {
        await using var fixture = await SqliteAsync();
        for (var i = 0; i < 25; i++) await fixture.Log.RecordAsync(Entry(i % 2 == 0 ? "even" : "odd", token: $"t{i % 5}") with { At = DateTimeOffset.UnixEpoch.AddSeconds(i / 3) }, s_none);
        var seen = new List<long>();
        AuditCursor? before = null;
        do
        {
            var page = await fixture.Log.NewestAsync(new AuditQuery { Limit = 7, Before = before }, s_none);
            seen.AddRange(page.Select(r => r.Position.Seq));
            before = page.Count < 7 ? null : page[^1].Position;
            if (before is { } cursor) AuditCursor.TryParse(cursor.ToString(), out var same).ShouldBe(same == cursor);
        }
        while (before is not null);
        seen.ShouldBe(Enumerable.Range(1, 25).Reverse().Select(i => (long)i));
        (await fixture.Log.AfterAsync(new AuditQuery(), 20, s_none)).Select(r => r.Position.Seq).ShouldBe([21, 22, 23, 24, 25]);
        (await fixture.Log.NewestAsync(new AuditQuery { Action = "odd", TokenIds = ["t1"] }, s_none)).Select(r => r.Position.Seq).ShouldBe([22, 12, 2]);
        (await fixture.Log.NewestAsync(new AuditQuery { Since = DateTimeOffset.UnixEpoch.AddSeconds(8) }, s_none)).Count.ShouldBe(1);
        (await fixture.Log.NewestAsync(new AuditQuery { Limit = 100_000 }, s_none)).Count.ShouldBe(25);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task PostgreSQL_keeps_the_same_record()
    {
        if (PostgresServer.Missing is not null) return;
        await using var fixture = await PostgresAsync();
        var go = await fixture.HoldWriterAsync();
        var tasks = Enumerable.Range(0, 150).Select(i => fixture.Log.RecordAsync(Entry(token: $"t{i / 2}"), s_none)).ToList();
        go();
        await Task.WhenAll(tasks);
        (await fixture.VerifyAsync()).ShouldBe(new AuditVerification { Valid = true, Entries = 75 });
        (await fixture.Log.NewestAsync(new AuditQuery { TokenIds = ["t3"], Since = DateTimeOffset.UnixEpoch, Before = new(long.MaxValue, "", 0) }, s_none)).Count.ShouldBe(1);
        await fixture.ExecuteAsync("UPDATE audit SET action = 'x' WHERE seq = 5");
        (await fixture.VerifyAsync()).FirstBad!.Seq.ShouldBe(5);
    }

    [Fact]
    public async Task Failed_authentications_become_one_entry_for_each_address_and_minute()
    {
        var time = new ManualTime();
        var failures = new FailedAuthentications(time);
        for (var i = 0; i < 3; i++) failures.Count(System.Net.IPAddress.Parse("::ffff:10.0.0.1"), "unknown");
        failures.Count(null, "expired");
        time.Advance(TimeSpan.FromMinutes(1));
        failures.Count(System.Net.IPAddress.Parse("10.0.0.1"), "unknown");
        var drained = failures.Drain();
        drained.Select(e => (e.Address, e.Count, e.Detail)).ShouldBe([("10.0.0.1", 3, "unknown"), ("unknown", 1, "expired"), ("10.0.0.1", 1, "unknown")]);
        drained.ShouldAllBe(e => e.Decision == "denied" && e.Action == "authentication.failed");
        failures.Drain().ShouldBeEmpty();

        for (var i = 0; i < 5000; i++) failures.Count(new System.Net.IPAddress(i + 1), "unknown");
        drained = failures.Drain();
        drained.Count.ShouldBe(FailedAuthentications.MaxAddresses + 1);
        drained.Sum(e => e.Count).ShouldBe(5000);
        await using var fixture = await SqliteAsync();
        await Task.WhenAll(drained.Select(e => fixture.Log.RecordAsync(e, s_none)));
        (await fixture.VerifyAsync()).Entries.ShouldBe(drained.Count);
    }
}
