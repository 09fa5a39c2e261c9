using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>One repository of 2,000 services in 5 environments with 200 keys each: memory, starts, and what a commit costs that changes all 10,000 documents or those of one
/// service.</summary>
internal sealed class ManyServices : IAsyncDisposable
{
    private const int SharedKeys = 80, EnvironmentKeys = 20, OwnKeys = 80, OwnEnvironmentKeys = 20;
    private static readonly string[] s_environments = ["dev", "test", "stage", "production", "dr"];

    private readonly Scratch _scratch = new();
    private readonly int _services;
    private readonly List<double> _empty = [], _restart = [], _shared = [], _single = [], _fetchShared = [], _fetchSingle = [], _hash = [], _diff = [];
    private ConfigRepository _repository = null!;
    private PublishedServer? _server;
    private int _value;

    private ManyServices(int services) => _services = services;

    private int Documents => _services * s_environments.Length;

    public static async Task<IReadOnlyList<Figure>> RunAsync(Plan plan)
    {
        await using var bench = new ManyServices(plan.Quick ? 200 : 2_000);
        return await bench.MeasureAsync(plan.Quick ? 2 : 7);
    }

    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        _scratch.Dispose();
    }

    private async Task<IReadOnlyList<Figure>> MeasureAsync(int turns)
    {
        _repository = await ConfigRepository.CreateAsync(_scratch["config.git"], Files());
        (await Tool.RunAsync("git", "clone", "--quiet", "--mirror", _repository.Path, _scratch["mirror.git"])).Ok();
        _server = await PublishedServer.StartAsync(new() { Settings = Processes.Unlimited, ConfigUrl = _repository.Path, Environment = Processes.Collectable });
        for (var turn = 0; turn < turns; turn++) _empty.Add(await RestartAsync());
        var before = await Processes.SettledMemoryAsync(_server.ProcessId);
        var watch = Stopwatch.StartNew();
        var bodies = await ReadAllAsync();
        var read = watch.Elapsed.TotalMilliseconds;
        var first = await Processes.SettledMemoryAsync(_server.ProcessId);
        for (var turn = 0; turn < turns; turn++) _restart.Add(await RestartAsync());
        var after = await Processes.SettledMemoryAsync(_server.ProcessId);
        for (var turn = -1; turn < turns; turn++)
        {
            await ChangeAsync("application.yml", Text("shared", SharedKeys, ++_value), turn >= 0 ? _shared : [], turn >= 0 ? _fetchShared : []);
            await ChangeAsync("service-0.yml", Text("own", OwnKeys, ++_value), turn >= 0 ? _single : [], turn >= 0 ? _fetchSingle : []);
            if (turn >= 0) _hash.Add(ParseAndHash(bodies));
        }
        var changed = await Processes.SettledMemoryAsync(_server.ProcessId);

        var bytes = new Figure($"the bytes of {Documents:N0} documents", "MB", [Mb(bodies.Sum(b => (long)b.Length))]);
        var bare = new Figure($"parse and hash {Documents:N0} documents, one core", "ms", _hash);
        var start = new Figure("start to first 200, no known documents", "ms", _empty);
        var diff = new Figure("git diff-tree of two commits", "ms", _diff);
        var single = new Figure("refresh after a change of one service", "ms", _single, new("git fetch, one service", "ms", _fetchSingle));
        return
        [
            bytes, new("resident: first read", "MB", [Mb(first - before)], bytes), new("resident: restarted with them known", "MB", [Mb(after)], bytes), new("resident: after the commits", "MB", [Mb(changed)], bytes),
            new("resident: no known documents", "MB", [Mb(before)]),
            start, new($"start to first 200, {Documents:N0} known documents", "ms", _restart, start), new($"first read of each of {Documents:N0} documents", "ms", [read]),
            single.Beside!, single, diff, bare, new("git fetch, application.yml", "ms", _fetchShared),
            new("refresh after a change of application.yml", "ms", _shared, bare), new("application.yml beside one service", "ms", _shared, single),
        ];
    }

    /// <summary>To the first 200 of a document.</summary>
    private async Task<double> RestartAsync()
    {
        await _server!.StopAsync();
        var watch = Stopwatch.StartNew();
        _server.Launch();
        await Tool.UntilAsync(() => Peer.AnswersAsync(_server.Client, Document(0, s_environments[0])), TimeSpan.FromMinutes(2), "the first 200");
        return watch.Elapsed.TotalMilliseconds;
    }

    private async Task ChangeAsync(string file, string text, List<double> served, List<double> fetched)
    {
        await _repository.CommitAsync(file, text);
        var watch = Stopwatch.StartNew();
        (await Tool.RunAsync("git", "-C", _scratch["mirror.git"], "fetch", "--quiet", "origin", "+refs/heads/*:refs/heads/*")).Ok();
        fetched.Add(watch.Elapsed.TotalMilliseconds);
        watch.Restart();
        (await Tool.RunAsync("git", "-C", _scratch["mirror.git"], "diff-tree", "-r", "--raw", "main~1", "main")).Ok();
        _diff.Add(watch.Elapsed.TotalMilliseconds);
        watch.Restart();
        using var answer = await _server!.Client.PostAsync(new Uri("/v1/refresh", UriKind.Relative), null);
        served.Add(watch.Elapsed.TotalMilliseconds);
        answer.EnsureSuccessStatusCode();
    }

    private async Task<byte[][]> ReadAllAsync()
    {
        var bodies = new byte[Documents][];
        var options = new ParallelOptions { MaxDegreeOfParallelism = 16 };
        await Parallel.ForAsync(0, Documents, options, async (n, cancellationToken) =>
            bodies[n] = await _server!.Client.GetByteArrayAsync(Document(n / s_environments.Length, s_environments[n % s_environments.Length]), cancellationToken));
        return bodies;
    }

    private static double ParseAndHash(byte[][] bodies)
    {
        var watch = Stopwatch.StartNew();
        foreach (var body in bodies)
        {
            using var parsed = JsonDocument.Parse(body);
            SHA256.HashData(body);
        }
        return watch.Elapsed.TotalMilliseconds;
    }

    private Uri Document(int service, string environment) => new(_server!.Address, $"/v1/config/service-{service}/{environment}");

    private IEnumerable<(string, string?)> Files()
    {
        yield return ("application.yml", Text("shared", SharedKeys, 0));
        foreach (var environment in s_environments) yield return ($"application-{environment}.yml", Text(environment, EnvironmentKeys, 0));
        for (var n = 0; n < _services; n++)
        {
            yield return ($"service-{n}.yml", Text("own", OwnKeys, n));
            foreach (var environment in s_environments) yield return ($"service-{n}-{environment}.yml", Text($"own-{environment}", OwnEnvironmentKeys, n));
        }
    }

    private static string Text(string section, int keys, int value)
    {
        var text = new StringBuilder(section).Append(":\n");
        for (var key = 0; key < keys; key++) text.Append("  setting-").Append(key).Append(": \"a-value-of-").Append(key).Append('-').Append(value).Append("\"\n");
        return text.ToString();
    }

    private static double Mb(long bytes) => bytes / 1_000_000.0;
}
