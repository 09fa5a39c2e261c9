using System.Diagnostics;
using System.Text;

namespace Lockstep.Benchmarks;

/// <summary>One change on its way to every watcher, beside Kestrel alone that writes the same frame to as many WebSockets in a loop. The time runs from the sending of the call that causes it
/// to the last watcher having the whole frame.</summary>
internal static class Push
{
    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var watched = await WatchedServer.StartAsync();
        await using var bare = await Peer.StartBareWebSocketsAsync();
        Contestant loop = new("bare loop"), config = new("change of config"), secret = new("change of a secret, audited");
        for (var round = 0; round < plan.Rounds; round++)
        {
            // One at a time: the pings to those who only wait would disturb the others.
            byte[] frame;
            using (var caller = watched.Caller())
            {
                frame = await config.RoundAsync(plan, watched.Watch(WatchedServer.Plain), watched.Server.ProcessId, caller, watched.NextConfigChange);
                await secret.RoundAsync(plan, watched.Watch(WatchedServer.Sealed), watched.Server.ProcessId, caller, watched.NextSecretChange);
            }
            using (var caller = new Caller(bare.Address))
            {
                var text = Encoding.UTF8.GetString(frame);
                await loop.RoundAsync(plan, new WebSocketDialect(bare.Address, "/watch"), bare.ProcessId, caller, () =>
                {
                    while (int.Parse(caller.Send("GET", "/")) < plan.Watchers) Thread.Yield();
                    return (frame, c => c.Send("POST", "/push", text));
                });
            }
        }
        var limit = loop.Figures(plan.Watchers, null);
        return [.. limit, .. config.Figures(plan.Watchers, limit), .. secret.Figures(plan.Watchers, limit)];
    }

    private sealed class Contestant(string name)
    {
        private readonly List<double> _last = [], _spread = [], _answered = [], _server = [], _client = [];

        /// <summary>Connects the watchers, pushes some, and returns the frame of the last one.</summary>
        public async Task<byte[]> RoundAsync(Plan plan, Dialect dialect, int server, Caller caller, Func<(byte[] Marker, Action<Caller> Change)> next)
        {
            const int Pushes = 7;
            var warmUps = plan.Quick ? 1 : 3;
            await Processes.LeftAsync(server);
            await using var crowd = await Crowd.ConnectAsync(dialect, plan.Watchers);
            byte[] frame = [];
            for (var push = -warmUps; push < Pushes; push++)
            {
                var (marker, change) = next();
                var round = crowd.Expect(marker);
                var (serverBefore, clientBefore, start) = (Processes.Cpu(server), Environment.CpuUsage.TotalTime, Stopwatch.GetTimestamp());
                change(caller);
                var answered = Stopwatch.GetElapsedTime(start);
                var (first, last) = await round.DoneAsync();
                frame = round.Message;
                if (push < 0) continue;
                _last.Add(Stopwatch.GetElapsedTime(start, last).TotalMilliseconds);
                _spread.Add(Stopwatch.GetElapsedTime(first, last).TotalMilliseconds);
                _answered.Add(answered.TotalMilliseconds);
                _server.Add((Processes.Cpu(server) - serverBefore).TotalMilliseconds);
                _client.Add((Environment.CpuUsage.TotalTime - clientBefore).TotalMilliseconds);
            }
            return frame;
        }

        public IReadOnlyList<Figure> Figures(int watchers, IReadOnlyList<Figure>? beside) =>
        [
            new($"{name}: call → last of {watchers:#,0} watchers", "ms", _last, beside?[0], beside is null ? "" : "≤ 3 × bare"),
            new($"{name}: first → last watcher", "ms", _spread, beside?[1]),
            new($"{name}: call → its answer", "ms", _answered),
            new($"{name}: the server's CPU", "ms", _server, beside?[3]),
            new($"{name}: the watchers' CPU", "ms", _client, beside?[4]),
        ];
    }
}
