using System.Collections.Concurrent;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

/// <summary>Tests of what belongs to the whole process: they run by themselves, after all others.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>The real exporter against a collector at the wire. It hears of the spans of every server in the process.</summary>
[Trait("speed", "medium")]
[Collection(Alone.Name)]
public sealed class OtlpTests : IDisposable
{
    private const string Value = "a-secret-value-4711";

    private readonly TestRepository _repository = new();

    public void Dispose() => _repository.Dispose();

    [Fact]
    public async Task Spans_and_metrics_arrive_under_the_callers_trace_and_no_secret_does()
    {
        using var collector = new Collector();
        string token;
        await using (var server = await StartAsync(collector.Address))
        {
            (await server.PutAsync("one", Value)).Ok();
            token = server.Admin.Token!;
            (await server.Admin.GetAsync("/v1/config/a/dev", ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))).Ok().Text.ShouldContain(Value);
            (await server.Admin.GetAsync("/v1/config/a/dev?format=query-value-0815")).ShouldBe(400);
            _repository.Commit(("a.yml", "x: 2\ns: ${secret:one}\n"));
            await server.RefreshAsync();
        }
        // What was not sent yet is sent at the end.
        var (traces, metrics) = (collector.Sent("/v1/traces"), collector.Sent("/v1/metrics"));
        var traceId = Convert.FromHexString("0af7651916cd43dd8448eb211c80319c");
        collector.HasTrace(traceId).ShouldBeTrue();
        foreach (var text in new[] { "lockstep", "GET /v1/config/{service}/{env}", "http.request.method", "http.route", "http.response.status_code", "database write", "git fetch", "release evaluate", "release write" })
            traces.ShouldContain(text);
        foreach (var text in new[] { "service.name", "lockstep.release", "lockstep.git.fetch.duration", "http.server.request.duration", "lockstep.config.reads", "dotnet.process.cpu.time" })
            metrics.ShouldContain(text);
        foreach (var secret in new[] { Value, token, "query-value-0815" })
        {
            traces.ShouldNotContain(secret);
            metrics.ShouldNotContain(secret);
        }
    }

    [Fact]
    public async Task A_caller_whose_trace_is_not_sampled_makes_no_spans()
    {
        using var collector = new Collector();
        await using (var server = await StartAsync(collector.Address))
        {
            (await server.PutAsync("one", Value)).Ok();
            (await server.Admin.GetAsync("/v1/config/a/dev", ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"))).Ok();
        }
        var traceId = Convert.FromHexString("0af7651916cd43dd8448eb211c80319c");
        collector.HasTrace(traceId).ShouldBeFalse();
        collector.Sent("/v1/traces").ShouldContain("PUT /v1/secrets/{**id}");
    }

    [Fact]
    public async Task A_collector_that_hangs_slows_no_request_and_holds_the_end_up_for_seconds_at_most()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var server = await StartAsync($"http://127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}");
        await using (server)
        {
            (await server.PutAsync("one", Value)).Ok();
            // More spans than the queue takes.
            await Parallel.ForAsync(0, 3_000, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (_, _) => (await server.Admin.ConfigAsync("a/dev")).Ok());
            var begun = TimeProvider.System.GetTimestamp();
            await server.StopAsync();
            TimeProvider.System.GetElapsedTime(begun).ShouldBeLessThan(TimeSpan.FromSeconds(25));
        }
    }

    [Fact]
    public async Task A_collector_that_is_down_is_told_once()
    {
        int port;
        using (var listener = new TcpListener(IPAddress.Loopback, 0))
        {
            listener.Start();
            port = ((IPEndPoint)listener.LocalEndpoint).Port;
        }
        await using var server = await StartAsync($"http://127.0.0.1:{port}");
        (await server.Admin.GetAsync("/v1/whoami")).Ok();
        await Poll.UntilAsync(() => Told(server) > 0, "the log tells of it");
        await server.StopAsync();
        Told(server).ShouldBe(1);
    }

    private static int Told(TestServer server) => server.Logs.Lines.Count(l => l.Contains("Traces and metrics can't be sent", StringComparison.Ordinal));

    private Task<TestServer> StartAsync(string collector)
    {
        _repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        return TestServer.StartAsync(_repository, o => o with { Operation = new OperationOptions { Otlp = new Uri(collector) } });
    }

    /// <summary>Takes OTLP over HTTP: protobuf bodies, in which strings stand as they are.</summary>
    private sealed class Collector : IDisposable
    {
        private readonly HttpListener _listener = new();
        private readonly ConcurrentQueue<(string Path, byte[] Body)> _received = new();
        private readonly Task _serving;

        public Collector()
        {
            using (var free = new TcpListener(IPAddress.Loopback, 0))
            {
                free.Start();
                Address = $"http://127.0.0.1:{((IPEndPoint)free.LocalEndpoint).Port}";
            }
            _listener.Prefixes.Add(Address + "/");
            _listener.Start();
            _serving = ServeAsync();
        }

        public string Address { get; }

        public string Sent(string path) => string.Concat(_received.Where(r => r.Path == path).Select(r => Encoding.UTF8.GetString(r.Body)));

        public bool HasTrace(byte[] id) => _received.Any(r => r.Path == "/v1/traces" && r.Body.AsSpan().IndexOf(id) >= 0);

        public void Dispose()
        {
            _listener.Stop();
            _serving.GetAwaiter().GetResult();
            _listener.Close();
        }

        private async Task ServeAsync()
        {
            try
            {
                while (true)
                {
                    var context = await _listener.GetContextAsync();
                    var body = new MemoryStream();
                    await using (var stream = context.Request.Headers["Content-Encoding"] == "gzip" ? new GZipStream(context.Request.InputStream, CompressionMode.Decompress) : context.Request.InputStream)
                        await stream.CopyToAsync(body);
                    if (context.Request.ContentType == "application/x-protobuf") _received.Enqueue((context.Request.Url!.AbsolutePath, body.ToArray()));
                    context.Response.ContentType = "application/x-protobuf";
                    context.Response.Close();
                }
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                // It is stopped.
            }
        }
    }
}
