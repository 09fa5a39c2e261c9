using Lockstep.Benchmarks;

// Peers that the benchmarks start: this program again, doing one thing.
if (args is ["bare", var port, var body]) return await BareServer.RunAsync(int.Parse(port), body);
if (args is ["bare-websockets", var listen]) return await BareServer.RunWebSocketsAsync(int.Parse(listen));
if (args is ["hello"])
{
    Console.WriteLine("hello");
    return 0;
}

var quick = args.Contains("--quick");
var names = args.Where(a => a != "--quick").ToList();
var known = BenchmarkTable.All.Select(b => b.Name).ToList();
if (names.Except(known, StringComparer.Ordinal).ToList() is { Count: > 0 } unknown)
{
    Console.Error.WriteLine($"bench/run: no benchmark is called {string.Join(", ", unknown)}; there are {string.Join(", ", known)}");
    return 2;
}

var report = new Report(quick);
foreach (var benchmark in BenchmarkTable.All.Where(b => names.Count == 0 || names.Contains(b.Name)))
{
    Console.Error.WriteLine($"{benchmark.Name} …");
    try
    {
        report.Add(await benchmark.RunAsync(new Plan(quick)));
    }
    catch (Exception e) when (e is InvalidOperationException or TimeoutException or HttpRequestException or IOException or System.ComponentModel.Win32Exception)
    {
        report.Fail(benchmark.Name, e);
    }
}
report.Print(Console.Out);
Console.WriteLine($"written to {report.Write()}");
return report.Failed ? 1 : 0;
