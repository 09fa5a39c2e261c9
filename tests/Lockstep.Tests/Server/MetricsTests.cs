using System.Text.RegularExpressions;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

public sealed partial class MetricsTests : IAsyncLifetime
{
    private readonly TestRepository _repository = new();
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        _server = await TestServer.StartAsync(_repository);
        (await _server.PutAsync("one", "v")).Ok();
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    [Fact]
    public async Task The_text_is_OpenMetrics_to_the_letter()
    {
        await UseAsync();
        var answer = (await _server.Nobody.GetAsync("/metrics", ("Accept", "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;version=0.0.4;q=0.5"))).Ok();
        answer.Header("Content-Type").ShouldBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
        var metrics = OpenMetricsText.Parse(answer.Text);
        // By routes, not by paths: the names of services and secrets are in none.
        metrics.Samples.ShouldContain(s => s.Family == "http_server_request_duration_seconds" && s.Labels.GetValueOrDefault("http_route") == "/v1/config/{service}/{env}");
        metrics.Samples.SelectMany(s => s.Labels.Values).ShouldNotContain(v => v.Contains("one", StringComparison.Ordinal) || v == "a");
    }

    [Fact]
    public async Task Who_asks_for_the_older_text_gets_counters_by_their_whole_names()
    {
        await UseAsync();
        var answer = (await _server.Nobody.GetAsync("/metrics", ("Accept", "text/plain;version=0.0.4"))).Ok();
        answer.Header("Content-Type").ShouldBe("text/plain; version=0.0.4; charset=utf-8");
        answer.Text.ShouldContain("# TYPE lockstep_config_reads_total counter\n");
        answer.Text.ShouldNotContain("# EOF");
    }

    [Fact]
    public async Task Docs_list_every_metric_and_no_other()
    {
        await UseAsync();
        var metrics = OpenMetricsText.Parse((await _server.Nobody.GetAsync("/metrics")).Ok().Text);
        var exposed = metrics.Families.Select(f => f.Value == "counter" ? f.Key + "_total" : f.Key).ToHashSet(StringComparer.Ordinal);
        var text = await File.ReadAllTextAsync(Path.Combine(Architecture.Repository.Root, "docs", "operating.md"));
        var listed = ListedMetric().Matches(text).Select(m => m.Groups["name"].Value).ToList();
        listed.ShouldBeUnique();
        exposed.Except(listed, StringComparer.Ordinal).ShouldBeEmpty("these are not in docs/operating.md");
        // Those that take something this server does not do here.
        string[] others =
        [
            "lockstep_tls_certificate_expiry_seconds", "lockstep_requests_limited_total", "lockstep_watch_closed_total",
        ];
        listed.Except(exposed, StringComparer.Ordinal).Except(others, StringComparer.Ordinal).ShouldBeEmpty("these do not exist");
        metrics.Families.Keys.Where(f => f.StartsWith("lockstep_", StringComparison.Ordinal)).ShouldAllBe(f => metrics.WithHelp.Contains(f));
    }

    private async Task UseAsync()
    {
        // Nothing is in memory then: the secret is read from its store.
        await _server.RestartAsync();
        (await _server.Admin.ConfigAsync("a/dev")).Ok();
        (await (await _server.AsAsync("viewer")).GetAsync("/v1/secrets")).ShouldBe(403);
        await using var watcher = await TestWatcher.ConnectAsync(_server, _server.Admin.Token);
        await watcher.SubscribeAsync(1, "a/dev");
        _repository.Commit(("a.yml", $"x: {Guid.NewGuid()}\ns: ${{secret:one}}\n"));
        await _server.RefreshAsync();
        await watcher.UntilOpAsync("change");
        GC.Collect();
        // Measured when it has been answered: a request is not among those that its own answer tells of.
        await Poll.UntilAsync(async () => (await _server.Nobody.GetAsync("/metrics")).Text.Contains("http_route=\"/v1/config/{service}/{env}\"", StringComparison.Ordinal), "requests are measured");
    }

    [GeneratedRegex(@"^\| `(?<name>[a-z][a-z0-9_]+)(?:\{[a-z_,]+\})?` \|", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex ListedMetric();
}
