using System.Diagnostics;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>Reads of one document while a fetch waits for a remote that takes connections and never answers, beside reads while nothing is fetched: no fetch
/// is in a reader's way.</summary>
internal static class HangingRemote
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var remote = await RemoteGit.StartAsync([("plain.yml", string.Concat(Enumerable.Range(0, 40).Select(n => $"key{n:00}: a-value-of-some-length-{n:00}\n")))]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url });
        using var caller = new Caller(server.Address, server.Token);
        var (idle, hanging) = (new Side(), new Side());
        Read(caller, plan, null);
        for (var round = 0; round < plan.Rounds * 3; round++)
        {
            Read(caller, plan, idle);
            remote.Link.Become(LinkState.Hanging);
            // A client that waits for its refresh, as a CI job would: the reads are another's.
            var refresh = server.Client.PostAsync(new Uri("/v1/refresh", UriKind.Relative), null);
            await Tool.UntilAsync(() => Task.FromResult(remote.Link.Hanging > 0), TimeSpan.FromSeconds(30), "a fetch hangs");
            Read(caller, plan, hanging);
            if (refresh.IsCompleted) throw new InvalidOperationException("the fetch was over before the reads were");
            remote.Link.Become(LinkState.Up);
            using (await refresh)
            {
            }
            using var again = await server.Client.PostAsync(new Uri("/v1/refresh", UriKind.Relative), null);
            again.EnsureSuccessStatusCode();
        }
        var median = new Figure("GET config, p50", "ms", idle.Medians);
        var tail = new Figure("GET config, p99", "ms", idle.Tails);
        return
        [
            median, new Figure("GET config, p50, remote hangs", "ms", hanging.Medians, median, "ratio ≈ 1"),
            tail, new Figure("GET config, p99, remote hangs", "ms", hanging.Tails, tail, "ratio ≈ 1"),
        ];
    }

    // One after the other on one connection, so that the time is the server's and not that of a queue.
    private static void Read(Caller caller, Plan plan, Side? side)
    {
        var times = new double[plan.Quick ? 500 : 10_000];
        for (var n = 0; n < times.Length; n++)
        {
            var start = Stopwatch.GetTimestamp();
            caller.Send("GET", "/v1/config/plain/production");
            times[n] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
        Array.Sort(times);
        side?.Medians.Add(times[times.Length / 2]);
        side?.Tails.Add(times[times.Length * 99 / 100]);
    }

    private sealed class Side
    {
        public List<double> Medians { get; } = [];

        public List<double> Tails { get; } = [];
    }
}
