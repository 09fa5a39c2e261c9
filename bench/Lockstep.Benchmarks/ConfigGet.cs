using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>Reads of one document with a token, beside Kestrel alone and nginx that write the same bytes.</summary>
internal static class ConfigGet
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan, string service, string target)
    {
        using var scratch = new Scratch();
        await using var sample = await Sample.StartAsync();
        var body = scratch["body.json"];
        await File.WriteAllBytesAsync(body, await sample.ReadAsync(service));
        await using var bare = await Peer.StartBareAsync(body);
        await using var nginx = await Peer.StartNginxAsync(scratch, body);

        List<(string Name, Uri Address, string? Token, List<double> Turns)> contestants =
            [("bare Kestrel", bare.Address, null, []), ($"GET config ({service}, {new FileInfo(body).Length} bytes)", sample.Document(service), sample.Server.Token, [])];
        if (nginx is not null) contestants.Add(("nginx, static file", nginx.Address, null, []));
        foreach (var (_, address, token, _) in contestants) await Wrk.RunAsync(address, token, plan.WarmUpSeconds);
        for (var round = 0; round < plan.Rounds; round++)
            foreach (var (_, address, token, turns) in contestants)
                turns.Add(await Wrk.RunAsync(address, token, plan.LoadSeconds));

        var limit = new Figure(contestants[0].Name, "req/s", contestants[0].Turns);
        return [limit, .. contestants[2..].Select(c => new Figure(c.Name, "req/s", c.Turns, limit)), new Figure(contestants[1].Name, "req/s", contestants[1].Turns, limit, target)];
    }
}
