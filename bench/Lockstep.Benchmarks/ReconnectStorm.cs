namespace Lockstep.Benchmarks;

/// <summary>The server has just started again and all of its watchers come back at once, each with what it holds: until the last one has been told that this is the newest. Beside Kestrel alone,
/// just started, that accepts as many WebSockets.</summary>
internal static class ReconnectStorm
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var watched = await WatchedServer.StartAsync();
        var first = watched.Watch(WatchedServer.Sealed);
        await (await Crowd.ConnectAsync(first, 1)).DisposeAsync();

        Contestant alone = new(), back = new();
        for (var round = 0; round < plan.Rounds; round++)
        {
            await using (var bare = await Peer.StartBareWebSocketsAsync())
                await alone.TurnAsync(new WebSocketDialect(bare.Address, "/watch"), plan.Watchers, bare.ProcessId);
            await watched.Server.StopAsync();
            await watched.Server.StartAgainAsync();
            await back.TurnAsync(watched.Watch(WatchedServer.Sealed, first.Held), plan.Watchers, watched.Server.ProcessId);
        }
        var all = $"{plan.Watchers:#,0}";
        Figure limit = new($"bare Kestrel accepts {all} WebSockets", "ms", alone.Times), cpu = new("bare accepts: the server's CPU", "ms", alone.Cpu);
        return
        [
            limit, cpu, new("bare accepts: the watchers' CPU", "ms", alone.Clients),
            new($"{all} watchers come back after a restart", "ms", back.Times, limit),
            new("come back: the server's CPU", "ms", back.Cpu, cpu), new("come back: the watchers' CPU", "ms", back.Clients), new("come back: connections that failed", "", back.Errors),
        ];
    }

    private sealed class Contestant
    {
        public List<double> Times { get; } = [];

        public List<double> Cpu { get; } = [];

        public List<double> Clients { get; } = [];

        public List<double> Errors { get; } = [];

        public async Task TurnAsync(Dialect dialect, int watchers, int server)
        {
            var (before, clients) = (Processes.Cpu(server), Environment.CpuUsage.TotalTime);
            await using var crowd = await Crowd.ConnectAsync(dialect, watchers);
            Times.Add(crowd.Connecting.TotalMilliseconds);
            Cpu.Add((Processes.Cpu(server) - before).TotalMilliseconds);
            Clients.Add((Environment.CpuUsage.TotalTime - clients).TotalMilliseconds);
            Errors.Add(crowd.Errors);
        }
    }
}
