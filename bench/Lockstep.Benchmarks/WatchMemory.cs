namespace Lockstep.Benchmarks;

/// <summary>What one watcher that waits for nothing costs the server: the growth of its resident memory over many of them, beside Kestrel alone that waits for a message on each of as many WebSockets.
/// Every turn has a fresh process, warmed by a few watchers.</summary>
internal static class WatchMemory
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        List<double> alone = [], watching = [];
        for (var round = 0; round < plan.Rounds; round++)
        {
            await using (var bare = await Peer.StartBareWebSocketsAsync())
                alone.Add(await GrowthAsync(plan, new WebSocketDialect(bare.Address, "/watch"), bare.ProcessId));
            await using var watched = await WatchedServer.StartAsync();
            watching.Add(await GrowthAsync(plan, watched.Watch(WatchedServer.Sealed), watched.Server.ProcessId));
        }
        var limit = new Figure($"bare Kestrel, per WebSocket of {plan.Watchers:#,0}", "KB", alone);
        return [limit, new($"idle watcher, one of {plan.Watchers:#,0}", "KB", watching, limit, "≤ 1.5 × bare")];
    }

    private static async Task<double> GrowthAsync(Plan plan, Dialect dialect, int server)
    {
        await (await Crowd.ConnectAsync(dialect, 100)).DisposeAsync();
        var before = await Processes.SettledMemoryAsync(server);
        await using var crowd = await Crowd.ConnectAsync(dialect, plan.Watchers);
        return (await Processes.SettledMemoryAsync(server) - before) / 1024.0 / plan.Watchers;
    }
}
