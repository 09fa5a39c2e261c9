using System.Diagnostics;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>From the start of the process to the first 200 of a document, on a data directory that has been served before.</summary>
internal static class Startup
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        using var scratch = new Scratch();
        await using var sample = await Sample.StartAsync();
        var body = scratch["body.json"];
        await File.WriteAllBytesAsync(body, await sample.ReadAsync("plain"));
        await sample.Server.StopAsync();

        List<double> bare = [], lockstep = [];
        for (var turn = 0; turn < plan.Repeats; turn++)
        {
            var watch = Stopwatch.StartNew();
            var peer = await Peer.StartBareAsync(body);
            bare.Add(watch.Elapsed.TotalMilliseconds);
            await peer.DisposeAsync();

            watch.Restart();
            sample.Server.Launch();
            await Tool.UntilAsync(() => Peer.AnswersAsync(sample.Server.Client, sample.Document("plain")), TimeSpan.FromSeconds(30), "the first 200");
            lockstep.Add(watch.Elapsed.TotalMilliseconds);
            await sample.Server.StopAsync();
        }
        var limit = new Figure("bare Kestrel, start to first 200", "ms", bare);
        return [limit, new("serve, start to first 200", "ms", lockstep, limit, "< 60 ms (native)")];
    }
}
