using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Access;

/// <summary>
/// How much one caller may ask, so that none takes the server from the others: requests by token, and failed authentications by address, which keep no token
/// that is valid from being heard. Nothing waits, nothing is locked or allocated, and what is kept does not grow.
/// </summary>
internal sealed class RateLimits(int requestsPerSecond, TimeProvider time)
{
    /// <summary>What a caller that was quiet may ask at once: so many seconds' worth.</summary>
    public const int BurstSeconds = 2;

    public const int FailuresPerSecond = 10;

    public const int DerivationsPerSecond = 20;

    /// <summary>What a token that was quiet may derive at once.</summary>
    public const int DerivationBurst = 1000;

    /// <summary>What an address that was quiet may get wrong at once.</summary>
    public const int FailureBurst = 100;

    // Addresses that fall on the same one share it, which makes no difference to who has a valid token.
    private const int Places = 4096;

    private static readonly Counter<long> s_limited = Telemetry.Meter.CreateCounter<long>(
        "lockstep.requests.limited", description: "Requests refused because too many came before, by token or by address (failed authentications)");

    private static readonly KeyValuePair<string, object?> s_byToken = new("by", "token");
    private static readonly KeyValuePair<string, object?> s_byAddress = new("by", "address");

    private readonly TokenBucket[] _failures = [.. Enumerable.Range(0, Places).Select(_ => new TokenBucket())];

    /// <summary>Counts a request of an identified caller.</summary>
    /// <exception cref="LockstepException">rate-limited, with the time to wait.</exception>
    public void Request(Caller caller)
    {
        if (requestsPerSecond == 0 || caller.Usage.Rate.Take(time, requestsPerSecond, requestsPerSecond * (long)BurstSeconds) is not { } wait) return;
        s_limited.Add(1, s_byToken);
        throw new LockstepException(ErrorCode.RateLimited, $"the token '{caller.Name}' asks more than {requestsPerSecond} times a second") { RetryAfter = wait };
    }

    /// <summary>Counts a token that is derived or renewed, which anybody may do and which is written down: of all that go back to one token.</summary>
    /// <exception cref="LockstepException">rate-limited, with the time to wait.</exception>
    public static void Derivation(Caller caller, TimeProvider time)
    {
        if (caller.Usage.Derivations.Take(time, DerivationsPerSecond, DerivationBurst) is not { } wait) return;
        s_limited.Add(1, s_byToken);
        throw new LockstepException(ErrorCode.RateLimited, $"more than {DerivationsPerSecond} tokens a second are derived from, or renewed below, the one that '{caller.Name}' goes back to") { RetryAfter = wait };
    }

    /// <summary>Counts a failed authentication.</summary>
    /// <exception cref="LockstepException">rate-limited, with the time to wait.</exception>
    public void Failure(IPAddress? address)
    {
        if (_failures[PlaceOf(address)].Take(time, FailuresPerSecond, FailureBurst) is not { } wait) return;
        s_limited.Add(1, s_byAddress);
        throw new LockstepException(ErrorCode.RateLimited, "too many tokens or signatures from this address were not valid") { RetryAfter = wait };
    }

    // An IPv6 customer has a /64 of addresses. The hash differs from process to process, so that nobody can look for an address that shares another's place.
    private static int PlaceOf(IPAddress? address)
    {
        if (address is null) return 0;
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out var length);
        var hash = new HashCode();
        hash.AddBytes(bytes[..(address.AddressFamily == AddressFamily.InterNetworkV6 ? 8 : length)]);
        return (hash.ToHashCode() & int.MaxValue) % Places;
    }
}

/// <summary>One bucket: the moment until which what was asked so far is paid for (the generic cell rate algorithm of ITU-T I.371).</summary>
internal sealed class TokenBucket
{
    private long _paidUntil;

    /// <summary>Takes one; if there is none left, how long to wait for it.</summary>
    public TimeSpan? Take(TimeProvider time, long perSecond, long burst)
    {
        var (now, cost) = (time.GetTimestamp(), time.TimestampFrequency / perSecond);
        while (true)
        {
            var before = Volatile.Read(ref _paidUntil);
            var after = Math.Max(before, now) + cost;
            if (after - now > burst * cost) return TimeSpan.FromSeconds((after - now - (burst * cost)) / (double)time.TimestampFrequency);
            if (Interlocked.CompareExchange(ref _paidUntil, after, before) == before) return null;
        }
    }
}
