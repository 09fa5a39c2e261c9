using System.Diagnostics;
using System.Text.Json;

namespace Lockstep.Benchmarks;

/// <summary>The kill switch: from the sending of <c>POST /v1/kill</c> until the connections of a token are closed, beside Kestrel alone that closes as many WebSockets in a loop.</summary>
internal static class Kill
{
    private const int Turns = 3;

    // What a close frame of 4401 begins with.
    private static readonly byte[] s_marker = [4401 >> 8, 4401 & 0xff];

    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var watched = await WatchedServer.StartAsync();
        await using var bare = await Peer.StartBareWebSocketsAsync();
        Contestant loop = new("bare loop"), kill = new("kill");
        var token = watched.Token;
        for (var turn = 0; turn < plan.Rounds * Turns; turn++)
        {
            using (var caller = watched.Caller())
            {
                await kill.TurnAsync(plan, new LockstepDialect(watched.Server.Address, token, WatchedServer.Plain), watched.Server.ProcessId,
                    () => caller.Send("POST", "/v1/kill", """{"services":["plain"]}"""));
                token = JsonDocument.Parse(caller.Send("POST", "/v1/tokens/watchers/roll")).RootElement.GetProperty("token").GetString()!;
            }
            using (var caller = new Caller(bare.Address))
            {
                await loop.TurnAsync(plan, new WebSocketDialect(bare.Address, "/watch"), bare.ProcessId, () => caller.Send("POST", "/close"),
                    ready: () => int.Parse(caller.Send("GET", "/")) == plan.Watchers);
            }
        }
        var limit = loop.Figures(plan.Watchers, null);
        return [.. limit, .. kill.Figures(plan.Watchers, limit)];
    }

    private sealed class Contestant(string name)
    {
        private readonly List<double> _half = [], _most = [], _last = [], _answered = [];

        public async Task TurnAsync(Plan plan, WebSocketDialect dialect, int server, Action end, Func<bool>? ready = null)
        {
            await Processes.LeftAsync(server);
            await using var crowd = await Crowd.ConnectAsync(dialect, plan.Watchers);
            while (ready?.Invoke() == false) Thread.Yield();
            dialect.AwaitsEnd = true;
            var round = crowd.Expect(s_marker);
            var start = Stopwatch.GetTimestamp();
            end();
            var answered = Stopwatch.GetElapsedTime(start);
            await round.DoneAsync();
            _half.Add(round.After(start, 0.5).TotalMilliseconds);
            _most.Add(round.After(start, 0.99).TotalMilliseconds);
            _last.Add(round.After(start, 1).TotalMilliseconds);
            _answered.Add(answered.TotalMilliseconds);
        }

        public IReadOnlyList<Figure> Figures(int watchers, IReadOnlyList<Figure>? beside) =>
        [
            new($"{name}: call → half of {watchers:#,0} connections closed (p50)", "ms", _half, beside?[0]),
            new($"{name}: call → 99 of 100 closed (p99)", "ms", _most, beside?[1]),
            new($"{name}: call → the last one closed", "ms", _last, beside?[2]),
            new($"{name}: call → its answer", "ms", _answered, beside?[3]),
        ];
    }
}
