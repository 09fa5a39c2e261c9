using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>Reads that disclose secrets, and so wait for the record, beside reads of the same size that do not; and with the record in a file too.</summary>
internal static class AuditedReads
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        using var scratch = new Scratch();
        await using var sample = await Sample.StartAsync();
        await using var filed = await Sample.StartAsync($"audit: {{ file: {scratch["audit.jsonl"]} }}");
        List<(string Name, Sample Sample, string Service, List<double> Turns)> contestants =
            [("unaudited", sample, "plain", []), ("audited", sample, "sealed", []), ("audited, with a file", filed, "sealed", [])];
        foreach (var (_, server, service, _) in contestants) await Wrk.RunAsync(server.Document(service), server.Server.Token, plan.WarmUpSeconds);
        for (var round = 0; round < plan.Rounds; round++)
            foreach (var (_, server, service, turns) in contestants)
                turns.Add(await Wrk.RunAsync(server.Document(service), server.Server.Token, plan.LoadSeconds));
        var limit = new Figure("GET config: " + contestants[0].Name, "req/s", contestants[0].Turns);
        return [limit, .. contestants[1..].Select(c => new Figure("GET config: " + c.Name, "req/s", c.Turns, limit))];
    }
}
