using System.Net;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class RateLimitTests
{
    private readonly ManualTime _time = new(timers: true);

    [Fact]
    public void A_caller_has_its_rate_and_two_seconds_worth_at_once_and_others_are_not_concerned()
    {
        var rates = new RateLimits(10, _time);
        var (one, other) = (Caller.System("one"), Caller.System("other"));
        for (var i = 0; i < 20; i++) rates.Request(one);
        var refused = Should.Throw<LockstepException>(() => rates.Request(one));
        refused.Code.ShouldBe(ErrorCode.RateLimited);
        refused.RetryAfter.ShouldBe(TimeSpan.FromMilliseconds(100));
        rates.Request(other);

        // What was refused is not counted: it costs no time.
        _time.Advance(TimeSpan.FromMilliseconds(100));
        rates.Request(one);
        Should.Throw<LockstepException>(() => rates.Request(one));
        _time.Advance(TimeSpan.FromHours(1));
        for (var i = 0; i < 20; i++) rates.Request(one);
        Should.Throw<LockstepException>(() => rates.Request(one));
    }

    [Fact]
    public void Many_threads_together_get_no_more_than_one()
    {
        var rates = new RateLimits(1_000, _time);
        var caller = Caller.System("one");
        var taken = 0;
        Parallel.For(0, 8, _ =>
        {
            for (var i = 0; i < 1_000; i++)
            {
                try
                {
                    rates.Request(caller);
                    Interlocked.Increment(ref taken);
                }
                catch (LockstepException)
                {
                    // Too many.
                }
            }
        });
        taken.ShouldBe(2_000);
    }

    [Fact]
    public void Nought_is_no_limit()
    {
        var rates = new RateLimits(0, _time);
        var caller = Caller.System("one");
        for (var i = 0; i < 100_000; i++) rates.Request(caller);
    }

    [Fact]
    public void Failures_are_counted_by_address_and_by_the_64_first_bits_of_IPv6()
    {
        var rates = new RateLimits(10, _time);
        for (var i = 0; i < RateLimits.FailureBurst; i++) rates.Failure(IPAddress.Parse($"2001:db8::{i:x}"));
        Should.Throw<LockstepException>(() => rates.Failure(IPAddress.Parse("2001:db8::ffff"))).Code.ShouldBe(ErrorCode.RateLimited);
        // Any one of others may share its place, but not all.
        Enumerable.Range(1, 8).Any(i => Passes(rates, IPAddress.Parse($"2001:db8:0:{i:x}::1"))).ShouldBeTrue();
        Enumerable.Range(1, 8).Any(i => Passes(rates, IPAddress.Parse($"192.0.2.{i}"))).ShouldBeTrue();
        _time.Advance(TimeSpan.FromSeconds(1));
        for (var i = 0; i < RateLimits.FailuresPerSecond; i++) rates.Failure(IPAddress.Parse("2001:db8::1"));
        Should.Throw<LockstepException>(() => rates.Failure(IPAddress.Parse("2001:db8::1")));
    }

    private static bool Passes(RateLimits rates, IPAddress address)
    {
        try
        {
            rates.Failure(address);
            return true;
        }
        catch (LockstepException)
        {
            return false;
        }
    }
}
