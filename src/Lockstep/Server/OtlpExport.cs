using System.Reflection;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Lockstep.Server;

/// <summary>
/// Traces and metrics to an OpenTelemetry collector. Spans wait in a queue of bounded length and are dropped beyond it; a collector that is down or hangs
/// costs the server nothing but them.
/// </summary>
internal sealed partial class OtlpExport : IDisposable
{
    private const int GrpcPort = 4317;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(5);

    // All that is left to be sent when the server ends may take this long.
    private static readonly TimeSpan s_end = TimeSpan.FromSeconds(2);

    private readonly TracerProvider _traces;
    private readonly MeterProvider _metrics;
    private readonly ILogger _log;
    private int _failing;

    public OtlpExport(Uri collector, ILogger<OtlpExport> log)
    {
        _log = log;
        var resource = ResourceBuilder.CreateDefault()
            .AddService("lockstep", serviceVersion: typeof(OtlpExport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion, serviceInstanceId: Environment.MachineName);
        // The sampler is OpenTelemetry's own: as the caller's trace says, else all; OTEL_TRACES_SAMPLER says otherwise.
        _traces = Sdk.CreateTracerProviderBuilder().SetResourceBuilder(resource)
            .AddSource(Telemetry.MeterName, Telemetry.RequestSourceName)
            .AddOtlpExporter(o => Configure(o, collector, "v1/traces")).Build();
        _metrics = Sdk.CreateMeterProviderBuilder().SetResourceBuilder(resource)
            .AddMeter(Telemetry.MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Runtime")
            .AddOtlpExporter(o => Configure(o, collector, "v1/metrics")).Build();
    }

    public void Dispose()
    {
        // Both at a time, so that a collector that hangs holds the end up once.
        Parallel.Invoke(() => _traces.Shutdown((int)s_end.TotalMilliseconds), () => _metrics.Shutdown((int)s_end.TotalMilliseconds));
        _traces.Dispose();
        _metrics.Dispose();
    }

    private void Configure(OtlpExporterOptions options, Uri collector, string path)
    {
        var isGrpc = collector.Port == GrpcPort && collector.AbsolutePath == "/";
        options.Protocol = isGrpc ? OtlpExportProtocol.Grpc : OtlpExportProtocol.HttpProtobuf;
        options.Endpoint = isGrpc ? collector : new Uri(collector.AbsoluteUri.TrimEnd('/') + "/" + path);
        options.TimeoutMilliseconds = (int)s_timeout.TotalMilliseconds;
        options.HttpClientFactory = () => new HttpClient(new Outages(this)) { Timeout = s_timeout };
    }

    // Once when it begins and once when it ends.
    private void Answered(string? failure)
    {
        var failing = failure is null ? 0 : 1;
        if (Interlocked.Exchange(ref _failing, failing) == failing) return;
        if (failure is null) LogRecovered();
        else LogFailed(failure);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Traces and metrics can't be sent and are dropped: {Reason}")]
    private partial void LogFailed(string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Traces and metrics are sent again")]
    private partial void LogRecovered();

    private sealed class Outages(OtlpExport export) : DelegatingHandler(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, ConnectTimeout = s_timeout })
    {
        protected override HttpResponseMessage Send(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Note(() => base.Send(request, cancellationToken));

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            try
            {
                var response = await base.SendAsync(request, cancellationToken);
                return Note(() => response);
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
            {
                export.Answered(e.Message);
                throw;
            }
        }

        private HttpResponseMessage Note(Func<HttpResponseMessage> send)
        {
            try
            {
                var response = send();
                export.Answered(response.IsSuccessStatusCode ? null : $"the collector answers {(int)response.StatusCode}");
                return response;
            }
            catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
            {
                export.Answered(e.Message);
                throw;
            }
        }
    }
}
