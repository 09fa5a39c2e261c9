namespace Lockstep.Benchmarks;

internal sealed record Benchmark(string Name, Func<Plan, Task<IReadOnlyList<Figure>>> RunAsync);

internal static class BenchmarkTable
{
    public static IReadOnlyList<Benchmark> All { get; } =
    [
        new("config-get", plan => ConfigGet.RunAsync(plan, "plain", "≥ 80 % of bare")),
        new("config-get-secrets", plan => ConfigGet.RunAsync(plan, "sealed", "≥ 50 % of bare")),
        new("audited-reads", AuditedReads.RunAsync),
        new("token-check", TokenCheck.RunAsync),
        new("startup", Startup.RunAsync),
        new("run", RunOverhead.RunAsync),
        new("refresh", Refresh.RunAsync),
        new("many-services", ManyServices.RunAsync),
        new("hanging-remote", HangingRemote.RunAsync),
        new("push", Push.RunAsync),
        new("watch-memory", WatchMemory.RunAsync),
        new("kill", Kill.RunAsync),
        new("secret-watch", SecretWatch.RunAsync),
        new("reconnect-storm", ReconnectStorm.RunAsync),
    ];
}
