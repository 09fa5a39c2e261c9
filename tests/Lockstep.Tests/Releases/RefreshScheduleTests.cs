using Lockstep.Releases;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

public sealed class RefreshScheduleTests
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(30);

    private readonly ManualTime _time = new(timers: true);

    [Theory]
    [InlineData("00:00:30", "00:01:00 00:02:00 00:04:00 00:05:00 00:05:00")]
    [InlineData("00:00:01", "00:00:02 00:00:04 00:00:08 00:00:10 00:00:10")]
    [InlineData("00:00:10", "00:00:20 00:00:40 00:01:20 00:01:40 00:01:40")]
    [InlineData("01:00:00", "01:00:00 01:00:00 01:00:00 01:00:00 01:00:00")]
    public void The_longest_wait_doubles_with_each_failure_to_a_bound(string interval, string waits) =>
        string.Join(' ', Enumerable.Range(1, 5).Select(n => RefreshSchedule.Ceiling(TimeSpan.Parse(interval, null), n))).ShouldBe(waits);

    [Fact]
    public async Task A_fetch_is_due_each_interval_give_or_take_a_twentieth()
    {
        var schedule = new RefreshSchedule(s_interval, _time);
        var waits = new HashSet<TimeSpan>();
        for (var n = 0; n < 20; n++)
        {
            var wait = await DueAfterAsync(schedule);
            wait.ShouldBeInRange(s_interval * 0.94, s_interval * 1.06);
            waits.Add(wait);
            schedule.Begin();
            schedule.End(succeeded: true);
        }
        waits.Count.ShouldBeGreaterThan(1, "servers do not ask in step");
    }

    [Fact]
    public async Task After_failures_it_is_due_at_any_time_up_to_the_bound_and_after_a_success_as_ever()
    {
        var schedule = new RefreshSchedule(s_interval, _time);
        var waits = new List<TimeSpan>();
        for (var failures = 1; failures <= 30; failures++)
        {
            schedule.Begin();
            schedule.End(succeeded: false);
            var wait = await DueAfterAsync(schedule);
            wait.ShouldBeInRange(RefreshSchedule.Gap, RefreshSchedule.Ceiling(s_interval, failures) + TimeSpan.FromSeconds(1));
            waits.Add(wait);
        }
        waits.Max().ShouldBeGreaterThan(TimeSpan.FromMinutes(1));
        waits.Distinct().Count().ShouldBeGreaterThan(5);
        for (var n = 0; n < 10; n++)
        {
            schedule.Begin();
            schedule.End(succeeded: true);
            (await DueAfterAsync(schedule)).ShouldBeInRange(s_interval * 0.94, s_interval * 1.06);
            // Backoff begins anew.
            schedule.Begin();
            schedule.End(succeeded: false);
            (await DueAfterAsync(schedule)).ShouldBeLessThan(RefreshSchedule.Ceiling(s_interval, 1) + TimeSpan.FromSeconds(1));
        }
    }

    [Fact]
    public async Task Who_waits_out_a_long_backoff_is_back_to_the_interval_when_another_fetch_succeeds()
    {
        var schedule = new RefreshSchedule(TimeSpan.FromHours(10), _time);
        schedule.End(succeeded: false);
        var due = schedule.DueAsync(CancellationToken.None);
        schedule.Begin();
        schedule.End(succeeded: true);
        var before = _time.GetUtcNow();
        while (!due.IsCompleted) await StepAsync(due, TimeSpan.FromMinutes(10));
        (_time.GetUtcNow() - before).ShouldBeInRange(TimeSpan.FromHours(9.4), TimeSpan.FromHours(10.7));
    }

    [Fact]
    public async Task Who_asks_is_served_at_once_but_not_again_within_a_second_and_many_are_one()
    {
        var schedule = new RefreshSchedule(s_interval, _time);
        schedule.End(succeeded: false);
        for (var n = 0; n < 1000; n++) schedule.Ask();
        await schedule.DueAsync(CancellationToken.None);
        schedule.Begin();
        // While it runs: it may have missed what these tell of.
        for (var n = 0; n < 1000; n++) schedule.Ask();
        schedule.End(succeeded: true);
        (await DueAfterAsync(schedule)).ShouldBeInRange(RefreshSchedule.Gap * 0.9, RefreshSchedule.Gap * 1.2);
        schedule.Begin();
        schedule.End(succeeded: true);
        (await DueAfterAsync(schedule)).ShouldBeInRange(s_interval * 0.94, s_interval * 1.06);
    }

    [Fact]
    public async Task A_stop_ends_the_wait()
    {
        using var stop = new CancellationTokenSource();
        var due = new RefreshSchedule(s_interval, _time).DueAsync(stop.Token);
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(due);
    }

    private async Task<TimeSpan> DueAfterAsync(RefreshSchedule schedule)
    {
        var before = _time.GetUtcNow();
        var due = schedule.DueAsync(CancellationToken.None);
        while (!due.IsCompleted) await StepAsync(due, TimeSpan.FromMilliseconds(100));
        return _time.GetUtcNow() - before;
    }

    // What waits goes on in its own time once its timer has fired: while none is set, the clock stands still.
    private async Task StepAsync(Task due, TimeSpan by)
    {
        await Poll.UntilAsync(() => due.IsCompleted || _time.Waiting > 0, "the schedule waits for the clock");
        if (!due.IsCompleted) _time.Advance(by);
    }
}
