using Lockstep.Client;
using Shouldly;
using Xunit;
using static Lockstep.Tests.Audit.AuditFixture;

namespace Lockstep.Tests.Audit;

/// <summary>The record's part of L2: who waited for <c>RecordAsync</c> may disclose, and nobody else.</summary>
public sealed class L2_No_secret_leaves_unrecorded
{
    [Fact]
    public async Task An_entry_is_committed_before_its_wait_ends()
    {
        await using var fixture = await SqliteAsync();
        await Task.WhenAll(Enumerable.Range(0, 40).Select(async worker =>
        {
            for (var i = 0; i < 25; i++)
            {
                var token = $"w{worker}-{i}";
                await fixture.Log.RecordAsync(Entry(token: token), CancellationToken.None);
                // Another connection sees only what is committed.
                var found = await fixture.Database.ReadAsync(
                    s => s.Query("SELECT seq FROM audit WHERE token = @token", r => r.GetInt64(0), ("token", token)), CancellationToken.None);
                found.Count.ShouldBe(1);
            }
        }));
        (await fixture.VerifyAsync()).Entries.ShouldBe(1000);
    }

    [Fact]
    public async Task Nothing_completes_while_the_writer_is_held()
    {
        await using var fixture = await SqliteAsync();
        var go = await fixture.HoldWriterAsync();
        var recorded = fixture.Log.RecordAsync(Entry(), CancellationToken.None);
        var later = fixture.Log.RecordAsync(Entry(), CancellationToken.None);
        (recorded.IsCompleted, later.IsCompleted).ShouldBe((false, false));
        go();
        await recorded;
        await later;
        (await fixture.AllAsync()).Sum(e => e.Count).ShouldBe(2);
    }

    [Fact]
    public async Task When_the_record_cannot_be_written_every_waiting_disclosure_fails_and_the_next_try_works()
    {
        await using var fixture = await SqliteAsync();
        await fixture.ExecuteAsync("ALTER TABLE audit RENAME TO elsewhere");
        var go = await fixture.HoldWriterAsync();
        var waiting = Enumerable.Range(0, 10).Select(i => fixture.Log.RecordAsync(Entry(token: $"t{i}"), CancellationToken.None)).ToList();
        go();
        foreach (var task in waiting)
        {
            var error = await Should.ThrowAsync<LockstepException>(task);
            error.Code.ShouldBe(ErrorCode.Unavailable);
            error.Message.ShouldContain("The audit record can't be written");
        }
        await fixture.ExecuteAsync("ALTER TABLE elsewhere RENAME TO audit");
        await fixture.Log.RecordAsync(Entry(), CancellationToken.None);
        (await fixture.VerifyAsync()).Entries.ShouldBe(1);
    }

    [Fact]
    public async Task A_closed_writer_fails_the_record_at_once()
    {
        await using var fixture = await SqliteAsync();
        await fixture.Database.DisposeAsync();
        for (var i = 0; i < 2; i++)
        {
            var error = await Should.ThrowAsync<LockstepException>(fixture.Log.RecordAsync(Entry(), CancellationToken.None));
            error.Code.ShouldBe(ErrorCode.Unavailable);
        }
    }

    [Fact]
    public async Task Who_gives_up_waiting_is_recorded_all_the_same()
    {
        await using var fixture = await SqliteAsync();
        var go = await fixture.HoldWriterAsync();
        using var impatient = new CancellationTokenSource();
        var recorded = fixture.Log.RecordAsync(Entry(), impatient.Token);
        await impatient.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(recorded);
        go();
        await fixture.Log.RecordAsync(Entry(token: "t2"), CancellationToken.None);
        (await fixture.AllAsync()).Select(e => e.TokenId).ShouldBe(["t1", "t2"]);
    }

    [Fact]
    public async Task More_than_may_wait_is_refused_and_the_rest_is_written()
    {
        await using var fixture = await SqliteAsync();
        var go = await fixture.HoldWriterAsync();
        var waiting = Enumerable.Range(0, Lockstep.Audit.AuditLog.MaxWaiting).Select(i => fixture.Log.RecordAsync(Entry(token: $"t{i}"), CancellationToken.None)).ToList();
        var error = await Should.ThrowAsync<LockstepException>(fixture.Log.RecordAsync(Entry(token: "one too many"), CancellationToken.None));
        error.Code.ShouldBe(ErrorCode.Unavailable);
        go();
        await Task.WhenAll(waiting);
        (await fixture.VerifyAsync()).Entries.ShouldBe(waiting.Count);
    }
}
