using Lockstep.Audit;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Audit;

public sealed class PatientDiskTests
{
    private static readonly CancellationToken s_none = CancellationToken.None;

    [Fact]
    public async Task What_hangs_holds_up_nobody_for_long_and_one_thread_at_most()
    {
        var time = new ManualTime(timers: true);
        var disk = new PatientDisk(time);
        using var go = new ManualResetEventSlim();
        var begun = 0;
        var waiting = Enumerable.Range(0, 3).Select(_ => disk.RunAsync(() => { Interlocked.Increment(ref begun); go.Wait(); return 1; }, s_none)).ToList();
        time.Advance(SinkFollower.Patience);
        foreach (var task in waiting) (await Should.ThrowAsync<IOException>(task.WaitAsync(TimeSpan.FromSeconds(30)))).Message.ShouldContain("does not answer");
        using var stop = new CancellationTokenSource();
        var cancelled = disk.RunAsync(() => 1, stop.Token);
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(cancelled.WaitAsync(TimeSpan.FromSeconds(30)));
        begun.ShouldBeLessThanOrEqualTo(1);
        go.Set();
        (await disk.RunAsync(() => 2, s_none)).ShouldBe(2);
        await Should.ThrowAsync<IOException>(disk.RunAsync<int>(() => throw new IOException("full"), s_none));
        (await disk.RunAsync(() => 3, s_none)).ShouldBe(3);
    }
}
