using System.Diagnostics;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A whole run of <c>lockstep run -- true</c> with a warm server, beside <c>true</c> itself and the start of a .NET program that only greets.</summary>
internal static class RunOverhead
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var sample = await Sample.StartAsync();
        List<double> alone = [], hello = [], run = [];
        for (var turn = -1; turn < plan.Repeats; turn++)
        {
            var (a, h, r) = (await TimeAsync(Tool.Start("true", [])), await TimeAsync(Tool.Start(BareServer.Self, ["hello"])),
                await TimeAsync(sample.Server.CommandOf("run", "-s", "sealed", "-e", "production", "--", "true")));
            if (turn < 0) continue;   // the first turn warms the file cache and the server
            alone.Add(a);
            hello.Add(h);
            run.Add(r);
        }
        var beside = new Figure("true", "ms", alone);
        var runtime = new Figure("a .NET program that greets", "ms", hello, beside);
        var overhead = new Figure("overhead of run (run − true)", "ms", [.. run.Zip(alone, (r, a) => r - a)], null, "< 60 ms (JIT), < 20 ms (native)");
        return [beside, runtime, new("lockstep run -- true", "ms", run, runtime), overhead];
    }

    private static async Task<double> TimeAsync(ProcessStartInfo start)
    {
        var watch = Stopwatch.StartNew();
        (await Tool.RunAsync(start)).Ok();
        return watch.Elapsed.TotalMilliseconds;
    }
}
