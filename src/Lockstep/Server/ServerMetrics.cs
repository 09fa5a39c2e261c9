using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using Lockstep.Audit;
using Lockstep.Releases;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Server;

/// <summary>What is read off the server's state when metrics are collected.</summary>
internal sealed class ServerMetrics(Database database, ReleaseLane lane, AuditLog audit, TimeProvider time) : IDisposable
{
    // Instruments live as long as the process; of the servers that run in it they read the one that started last.
    private static ImmutableList<ServerMetrics> s_running = [];

    static ServerMetrics()
    {
        var meter = Telemetry.Meter;
        Gauge(meter, "lockstep.release", "The newest release", m => m.Live.Release.Number);
        Gauge(meter, "lockstep.documents.known", "Documents that are kept up to date", m => m.Live.Documents.Count);
        Gauge(meter, "lockstep.documents.invalid", "Known documents that do not resolve at the newest release", m => m.Live.Documents.Values.Count(d => !d.Resolution.IsValid));
        Gauge(meter, "lockstep.repository.stale", "How long the repository has not answered", m => (m.Live.Stale is { } s ? m.Time.GetUtcNow() - s.Since : TimeSpan.Zero).TotalSeconds, "s");
        Gauge(meter, "lockstep.audit.sinks.failing", "Files and streams of the record that can't be written", m => m.Audit.Sinks.Count(s => s.Failure is not null));
        Gauge(meter, "lockstep.audit.sinks.behind", "Entries that the furthest behind of them has not got yet", m => m.Audit.SinksBehind);
        meter.CreateObservableCounter("lockstep.database.commits", () => s_running is [.., var m] ? [new Measurement<long>(m.Database.Commits)] : Array.Empty<Measurement<long>>(), null, "Write transactions that were committed");
    }

    private LiveState Live => lane.Live;

    private Database Database => database;

    private AuditLog Audit => audit;

    private TimeProvider Time => time;

    /// <summary>From now on the gauges read this server.</summary>
    public void Publish() => ImmutableInterlocked.Update(ref s_running, list => list.Add(this));

    public void Dispose() => ImmutableInterlocked.Update(ref s_running, list => list.Remove(this));

    private static void Gauge(Meter meter, string name, string description, Func<ServerMetrics, double> read, string? unit = null) =>
        meter.CreateObservableGauge(name, () => s_running is [.., var m] ? [new Measurement<double>(read(m))] : Array.Empty<Measurement<double>>(), unit, description);
}
