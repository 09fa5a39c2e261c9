using System.Diagnostics;
using System.Text;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A one-file commit in repositories of three sizes: how long the refresh call takes, and how long until the new value is served. The limit is a plain
/// <c>git fetch</c> of an equal commit into a mirror.</summary>
internal static class Refresh
{
    private const int KnownDocuments = 20;
    private static readonly int[] s_sizes = [100, 1_000, 10_000];

    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        var contestants = new List<Contestant>();
        try
        {
            foreach (var size in s_sizes) contestants.Add(await Contestant.StartAsync(size));
            for (var turn = -1; turn < plan.Repeats; turn++)
                foreach (var contestant in contestants)
                    await contestant.TurnAsync(keep: turn >= 0);
            return Figures(contestants);
        }
        finally
        {
            foreach (var contestant in contestants) await contestant.DisposeAsync();
        }
    }

    private static List<Figure> Figures(List<Contestant> contestants)
    {
        var figures = new List<Figure>();
        Figure? smallest = null;
        foreach (var contestant in contestants)
        {
            var fetch = new Figure($"git fetch, {contestant.Size} files", "ms", contestant.Fetches);
            var call = new Figure($"POST /v1/refresh, {contestant.Size} files", "ms", contestant.Calls, fetch);
            var served = new Figure($"call → new value served, {contestant.Size} files", "ms", contestant.Served, fetch,
                contestant.Size == s_sizes[^1] ? "≤ 250 ms" : "");
            figures.AddRange([fetch, call, served]);
            if (contestant.Size == s_sizes[^1]) figures.Add(new($"served: {contestant.Size} beside {s_sizes[0]} files", "ms", contestant.Served, smallest, "ratio ≤ 2"));
            smallest ??= served;
        }
        return figures;
    }

    /// <summary>A repository of some size, its server with a few known documents, and a mirror that is fetched by hand.</summary>
    private sealed class Contestant : IAsyncDisposable
    {
        private readonly Scratch _scratch = new();
        private ConfigRepository _repository = null!;
        private PublishedServer? _server;
        private int _value;

        private Contestant(int size) => Size = size;

        public int Size { get; }

        public List<double> Fetches { get; } = [];

        public List<double> Calls { get; } = [];

        public List<double> Served { get; } = [];

        public static async Task<Contestant> StartAsync(int size)
        {
            var contestant = new Contestant(size);
            try
            {
                await contestant.StartAsync();
                return contestant;
            }
            catch
            {
                await contestant.DisposeAsync();
                throw;
            }
        }

        public async Task TurnAsync(bool keep)
        {
            var marker = $"marker-{++_value}";
            await _repository.CommitAsync("service-0.yml", Text(0, marker));

            var watch = Stopwatch.StartNew();
            (await Tool.RunAsync("git", "-C", _scratch["mirror.git"], "fetch", "--quiet", "origin", "+refs/heads/*:refs/heads/*")).Ok();
            var fetched = watch.Elapsed.TotalMilliseconds;

            watch.Restart();
            using var answer = await _server!.Client.PostAsync(new Uri("/v1/refresh", UriKind.Relative), null);
            var called = watch.Elapsed.TotalMilliseconds;
            answer.EnsureSuccessStatusCode();
            await Tool.UntilAsync(async () => (await ReadAsync(0)).Contains(marker, StringComparison.Ordinal), TimeSpan.FromSeconds(10), "the new value is served");
            var served = watch.Elapsed.TotalMilliseconds;
            if (!keep) return;
            Fetches.Add(fetched);
            Calls.Add(called);
            Served.Add(served);
        }

        public async ValueTask DisposeAsync()
        {
            if (_server is not null) await _server.DisposeAsync();
            _scratch.Dispose();
        }

        private async Task StartAsync()
        {
            _repository = await ConfigRepository.CreateAsync(_scratch["config.git"],
                Enumerable.Range(0, Size).Select(n => (n == 0 ? "service-0.yml" : $"group-{n / 100}/service-{n}.yml", (string?)Text(n, "first"))));
            (await Tool.RunAsync("git", "clone", "--quiet", "--mirror", _repository.Path, _scratch["mirror.git"])).Ok();
            await _repository.CommitAsync(Enumerable.Range(1, KnownDocuments - 1).Select(n => ($"service-{n}.yml", (string?)Text(n, "first"))));
            _server = await PublishedServer.StartAsync(new() { Settings = Processes.Unlimited, ConfigUrl = _repository.Path });
            foreach (var n in Enumerable.Range(0, KnownDocuments)) await ReadAsync(n);
        }

        private Task<string> ReadAsync(int service) => _server!.Client.GetStringAsync(new Uri($"/v1/config/service-{service}/production", UriKind.Relative));

        private static string Text(int service, string marker)
        {
            var text = new StringBuilder();
            for (var key = 0; key < 20; key++) text.Append("key").Append(key).Append(": value of ").Append(service).Append('\n');
            return text.Append("marker: ").Append(marker).Append('\n').ToString();
        }
    }
}
