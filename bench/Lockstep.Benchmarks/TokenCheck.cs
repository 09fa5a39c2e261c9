using System.Diagnostics;

namespace Lockstep.Benchmarks;

/// <summary>What it costs to find out who calls: <c>GET /v1/config</c> with a service token, beside tokens of an issuer that were seen before, and that are new.</summary>
internal static class TokenCheck
{
    private const int Sequential = 1000;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var issuer = await TokenIssuer.StartAsync();
        await using var sample = await Sample.StartAsync($$"""
            access:
              issuers: [ { issuer: {{issuer.Url}}, audience: bench, roles: [ { claim: sub, value: "*", role: viewer } ] } ]
            """);
        var document = sample.Document("plain");
        List<(string Name, string Token, List<double> Turns)> load =
            [("service token", sample.Server.Token, []), ("JWT, RS256", issuer.Sign("RS256", 0), []), ("JWT, ES256", issuer.Sign("ES256", 0), [])];
        foreach (var (_, token, _) in load) await Wrk.RunAsync(document, token, plan.WarmUpSeconds);
        List<double> service = [], known = [], rsa = [], ec = [];
        for (var round = 0; round < plan.Rounds; round++)
        {
            foreach (var (_, token, turns) in load) turns.Add(await Wrk.RunAsync(document, token, plan.LoadSeconds));
            var (r, count) = (round, plan.Quick ? 100 : Sequential);
            service.Add(OneByOne(document, Enumerable.Repeat(load[0].Token, count)));
            known.Add(OneByOne(document, Enumerable.Repeat(load[1].Token, count)));
            rsa.Add(OneByOne(document, [.. Enumerable.Range(1, count).Select(n => issuer.Sign("RS256", (r * count) + n))]));
            ec.Add(OneByOne(document, [.. Enumerable.Range(1, count).Select(n => issuer.Sign("ES256", (r * count) + n))]));
        }
        var limit = new Figure("GET config: " + load[0].Name, "req/s", load[0].Turns);
        var one = new Figure("one read after the other: service token", "µs", service);
        return
        [
            limit, .. load[1..].Select(c => new Figure($"GET config: {c.Name}, seen before", "req/s", c.Turns, limit)),
            one, new Figure("one after the other: JWT, seen before", "µs", known, one),
            new Figure("one after the other: JWT, RS256 (2048), new each time", "µs", rsa, one), new Figure("one after the other: JWT, ES256, new each time", "µs", ec, one),
        ];
    }

    // The median, in microseconds, on one connection: the header differs each time.
    private static double OneByOne(Uri document, IEnumerable<string> tokens)
    {
        using var caller = new Caller(document);
        var times = new List<double>();
        foreach (var token in tokens)
        {
            var start = Stopwatch.GetTimestamp();
            caller.Send("GET", document.AbsolutePath, token: token);
            times.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }
        times.Sort();
        return times[times.Count / 2];
    }
}
