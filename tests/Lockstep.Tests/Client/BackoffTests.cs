using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Client;

public sealed class BackoffTests
{
    [Fact]
    public void Waits_are_spread_over_a_window_that_doubles_up_to_its_cap()
    {
        double random = 0;
        var backoff = new Backoff(new WatchTiming { Random = () => random });
        double[] windows = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000];
        foreach (var window in windows)
        {
            random = (random + 0.37) % 1;
            backoff.Next(null).TotalMilliseconds.ShouldBe(window * random, 0.001);
        }
        for (var i = 0; i < 10_000; i++) backoff.Next(null).ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Only_a_connection_that_held_makes_the_wait_short_again()
    {
        var time = new Clock();
        var backoff = new Backoff(new WatchTiming { Time = time, Random = () => 0.999 });
        for (var i = 0; i < 20; i++) backoff.Next(null);
        backoff.Connected();
        time.Advance(TimeSpan.FromSeconds(1));
        backoff.Next(null).ShouldBeGreaterThan(TimeSpan.FromSeconds(9));
        backoff.Connected();
        time.Advance(TimeSpan.FromSeconds(6));
        backoff.Next(null).ShouldBeLessThan(TimeSpan.FromMilliseconds(100));
        time.Advance(TimeSpan.FromHours(1));
        backoff.Next(null).ShouldBeGreaterThan(TimeSpan.FromMilliseconds(100));
    }

    [Fact]
    public void What_the_server_asks_for_is_the_least_and_has_a_cap_and_a_jitter()
    {
        double random = 0;
        var backoff = new Backoff(new WatchTiming { Random = () => random });
        backoff.Next(TimeSpan.FromSeconds(2)).ShouldBe(TimeSpan.FromSeconds(2));
        random = 0.5;
        backoff.Next(TimeSpan.FromSeconds(2)).ShouldBe(TimeSpan.FromSeconds(2.5));
        backoff.Next(TimeSpan.FromDays(2)).ShouldBe(TimeSpan.FromSeconds(75));
    }

    // Of the timestamps, which the support's ManualTime leaves running.
    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(TimeSpan by) => _ticks += by.Ticks;
    }
}
