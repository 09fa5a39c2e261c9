using System.Diagnostics;
using System.Text;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A secret is written: until one watcher has the change, and until the last of a thousand has it; beside a put of etcd and its watchers. Both sync to the same disk.</summary>
internal static class SecretWatch
{
    private const int Many = 1_000;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        using var scratch = new Scratch();
        await using var watched = await WatchedServer.StartAsync();
        await using var etcd = await Peer.StartEtcdAsync(scratch);
        return [.. await CompareAsync(plan, watched, etcd, 1, "one watcher has it", "p50 ≤ 2 × etcd"), .. await CompareAsync(plan, watched, etcd, Many, $"the last of {Many:#,0} has it", "")];
    }

    private static async Task<IReadOnlyList<Figure>> CompareAsync(Plan plan, WatchedServer watched, Peer? etcd, int watchers, string what, string target)
    {
        List<double> puts = [], putTails = [], writes = [], writeTails = [], answers = [];
        var number = 0;
        for (var round = 0; round < plan.Rounds; round++)
        {
            if (etcd is not null)
            {
                using var writer = new EtcdWriter(etcd.Address);
                var turn = await RoundAsync(plan, new EtcdDialect(etcd.Address, "bench/db"), watchers, () =>
                {
                    var value = $$"""{"user":"bench","password":"a-password-of-some-length-{{++number:000000}}"}""";
                    return (Encoding.UTF8.GetBytes(value), () => writer.Put("bench/db", value));
                });
                Keep(turn.Heard, puts, putTails);
            }
            using var caller = watched.Caller();
            var (heard, answered) = await RoundAsync(plan, watched.Watch(WatchedServer.Sealed), watchers, () =>
            {
                var (marker, change) = watched.NextSecretChange();
                return (marker, () => change(caller));
            });
            Keep(heard, writes, writeTails);
            answers.AddRange(answered);
        }
        var put = etcd is null ? null : new Figure($"etcd: put → {what}, p50", "ms", puts);
        var putTail = etcd is null ? null : new Figure($"etcd: put → {what}, p99", "ms", putTails);
        Figure?[] figures =
        [
            put, putTail,
            new($"secret write → {what}, p50", "ms", writes, put, target),
            new($"secret write → {what}, p99", "ms", writeTails, putTail),
            new($"secret write → its answer, {watchers:#,0} watching", "ms", answers),
        ];
        return [.. figures.OfType<Figure>()];
    }

    /// <summary>The median is over every write, the tail one number a round.</summary>
    private static void Keep(List<double> turns, List<double> all, List<double> tails)
    {
        all.AddRange(turns);
        tails.Add(turns.Order().ElementAt(turns.Count * 99 / 100));
    }

    private static async Task<(List<double> Heard, List<double> Answered)> RoundAsync(Plan plan, Dialect dialect, int watchers, Func<(byte[] Marker, Action Write)> next)
    {
        // The runtime compiles the way of a write anew as it gets hot: after some two thousand it stays as it is.
        var (warmUps, writes) = plan.Quick ? (20, 20) : (watchers == 1 ? 2000 : 50, 300);
        await using var crowd = await Crowd.ConnectAsync(dialect, watchers);
        List<double> heard = [], answered = [];
        for (var n = -warmUps; n < writes; n++)
        {
            var (marker, write) = next();
            var round = crowd.Expect(marker);
            var start = Stopwatch.GetTimestamp();
            write();
            var answer = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            var (_, last) = await round.DoneAsync();
            if (n < 0) continue;
            heard.Add(Stopwatch.GetElapsedTime(start, last).TotalMilliseconds);
            answered.Add(answer);
        }
        return (heard, answered);
    }
}
