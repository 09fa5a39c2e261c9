using System.Collections.Concurrent;
using System.Collections.Frozen;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using Lockstep.Settings;
using Microsoft.Extensions.Primitives;

namespace Lockstep.Server;

/// <summary>
/// Collects the program's instruments and the framework's request durations, and writes them as OpenMetrics 1.0 text. Series per instrument are bounded:
/// beyond the limit new label sets are dropped.
/// </summary>
internal sealed class OpenMetrics : IDisposable
{
    public const string ContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// <summary>Prometheus' own, for those who do not ask for the other: what differs are the names of counters' families.</summary>
    public const string PrometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

    private const int MaxSeries = 1_000;

    // Of the runtime's own, what tells how the process fares.
    private static readonly FrozenSet<string> s_runtime = FrozenSet.Create(StringComparer.Ordinal,
        "dotnet.process.cpu.time", "dotnet.process.memory.working_set", "dotnet.gc.collections", "dotnet.gc.heap.total_allocated", "dotnet.gc.last_collection.heap.size",
        "dotnet.gc.pause.time", "dotnet.thread_pool.thread.count", "dotnet.thread_pool.queue.length", "dotnet.exceptions");

    private readonly MeterListener _listener = new();
    // By name: each listener of the framework has instruments of its own.
    private readonly ConcurrentDictionary<string, Family> _families = new(StringComparer.Ordinal);

    public OpenMetrics()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == Telemetry.MeterName || (instrument.Meter.Name == "System.Runtime" && s_runtime.Contains(instrument.Name)) || instrument is { Meter.Name: "Microsoft.AspNetCore.Hosting", Name: "http.server.request.duration" }
                || instrument is { Meter.Name: "Microsoft.AspNetCore.Server.Kestrel", Name: "kestrel.active_connections" })
                listener.EnableMeasurementEvents(instrument, _families.GetOrAdd(instrument.Name, _ => new Family(instrument)));
        };
        _listener.SetMeasurementEventCallback<double>((_, value, tags, family) => ((Family)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<long>((_, value, tags, family) => ((Family)family!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>((_, value, tags, family) => ((Family)family!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>Whether a client takes OpenMetrics; one that does not say gets it.</summary>
    public static bool IsAskedFor(StringValues accept)
    {
        var text = accept.ToString();
        return text.Length == 0 || text.Contains("application/openmetrics-text", StringComparison.OrdinalIgnoreCase) || !text.Contains("text/plain", StringComparison.OrdinalIgnoreCase);
    }

    /// <summary>Everything as it stands now.</summary>
    public string Write(bool openMetrics = true)
    {
        _listener.RecordObservableInstruments();
        var text = new StringBuilder();
        foreach (var family in _families.Values.OrderBy(f => f.Name, StringComparer.Ordinal)) family.Write(text, openMetrics);
        return text.Append(openMetrics ? "# EOF\n" : "").ToString();
    }

    public void Dispose() => _listener.Dispose();

    private sealed class Family(Instrument instrument)
    {
        private static readonly double[] s_seconds = [.. Telemetry.SecondsBuckets];

        private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);
        private readonly ConcurrentDictionary<int, (KeyValuePair<string, object?>[] Tags, Series Series)> _recent = new();

        // By shape, not by exact type: counters add up, gauges keep the last, histograms count in buckets.
        private readonly string _type = instrument.GetType().Name switch
        {
            // The runtime has them as counters, and they fall.
            _ when instrument.Name is "dotnet.thread_pool.queue.length" or "dotnet.thread_pool.thread.count" => "gauge",
            var n when n.StartsWith("Histogram", StringComparison.Ordinal) => "histogram",
            var n when n.Contains("UpDown", StringComparison.Ordinal) || n.Contains("Gauge", StringComparison.Ordinal) => "gauge",
            _ => "counter",
        };

        private readonly bool _adds = !instrument.IsObservable && !instrument.GetType().Name.Contains("Gauge", StringComparison.Ordinal);

        public string Name { get; } = NameOf(instrument);

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            // The few tag sets there are come again and again; their text is made once.
            if (Known(tags) is not { } series)
            {
                var labels = Labels(tags);
                if (!_series.TryGetValue(labels, out series))
                {
                    if (_series.Count >= MaxSeries) return;
                    series = _series.GetOrAdd(labels, _ => new Series(_type == "histogram" ? s_seconds.Length : 0));
                }
                Remember(tags.ToArray(), series);
            }
            series.Record(value, _type == "histogram" ? s_seconds : [], adds: _adds);
        }

        public void Write(StringBuilder text, bool openMetrics)
        {
            if (_series.IsEmpty) return;
            var family = openMetrics || _type != "counter" ? Name : Name + "_total";
            text.Append("# TYPE ").Append(family).Append(' ').Append(_type).Append('\n');
            if (openMetrics && UnitOf(instrument) is { } unit) text.Append("# UNIT ").Append(family).Append(' ').Append(unit).Append('\n');
            if (instrument.Description is { } help) text.Append("# HELP ").Append(family).Append(' ').Append(Escape(help)).Append('\n');
            foreach (var (labels, series) in _series.OrderBy(s => s.Key, StringComparer.Ordinal)) series.Write(text, Name, labels, _type, s_seconds);
        }

        private Series? Known(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (!_recent.TryGetValue(HashOf(tags), out var entry) || entry.Tags.Length != tags.Length) return null;
            for (var i = 0; i < tags.Length; i++)
                if (!ReferenceEquals(entry.Tags[i].Key, tags[i].Key) || !Equals(entry.Tags[i].Value, tags[i].Value)) return null;
            return entry.Series;
        }

        private void Remember(KeyValuePair<string, object?>[] tags, Series series)
        {
            if (_recent.Count < MaxSeries) _recent[HashOf(tags)] = (tags, series);
        }

        private static int HashOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            var hash = new HashCode();
            foreach (var tag in tags) hash.Add(tag.Value);
            return hash.ToHashCode();
        }

        private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            if (tags.IsEmpty) return "";
            var text = new StringBuilder();
            foreach (var (name, value) in tags)
            {
                // One protocol on one scheme a listener: constant labels would only make every line longer.
                if (name is "network.protocol.version" or "url.scheme" or "network.type" or "network.transport" or "server.address" or "server.port") continue;
                if (text.Length > 0) text.Append(',');
                text.Append(name.Replace('.', '_')).Append("=\"").Append(Escape(Convert.ToString(value, CultureInfo.InvariantCulture) ?? "")).Append('"');
            }
            return text.ToString();
        }

        private static string NameOf(Instrument instrument)
        {
            var name = instrument.Name.Replace('.', '_');
            return UnitOf(instrument) is { } unit && !name.EndsWith("_" + unit, StringComparison.Ordinal) ? $"{name}_{unit}" : name;
        }

        private static string? UnitOf(Instrument instrument) => instrument.Unit switch
        {
            "s" => "seconds",
            "By" => "bytes",
            _ => null,
        };

        private static string Escape(string text) =>
            text.Replace("\\", @"\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
    }

    private sealed class Series(int buckets)
    {
        private readonly Lock _lock = new();
        private readonly long[] _counts = new long[buckets];
        private long _count;
        private double _sum;

        public void Record(double value, double[] bounds, bool adds)
        {
            lock (_lock)
            {
                _count++;
                _sum = adds ? _sum + value : value;
                for (var i = 0; i < bounds.Length; i++)
                {
                    if (value > bounds[i]) continue;
                    _counts[i]++;
                    break;
                }
            }
        }

        public void Write(StringBuilder text, string name, string labels, string type, double[] bounds)
        {
            lock (_lock)
            {
                if (type != "histogram")
                {
                    Line(text, type == "counter" ? name + "_total" : name, labels, _sum);
                    return;
                }
                long total = 0;
                for (var i = 0; i < _counts.Length; i++)
                {
                    total += _counts[i];
                    Line(text, name + "_bucket", With(labels, bounds[i].ToString("0.0###", CultureInfo.InvariantCulture)), total);
                }
                Line(text, name + "_bucket", With(labels, "+Inf"), _count);
                Line(text, name + "_count", labels, _count);
                Line(text, name + "_sum", labels, _sum);
            }
        }

        private static string With(string labels, string bound) => labels.Length == 0 ? $"le=\"{bound}\"" : $"{labels},le=\"{bound}\"";

        private static string TextOf(double value) =>
            double.IsNaN(value) ? "NaN" : double.IsInfinity(value) ? (value > 0 ? "+Inf" : "-Inf") : value.ToString(CultureInfo.InvariantCulture);

        private static void Line(StringBuilder text, string name, string labels, double value)
        {
            text.Append(name);
            if (labels.Length > 0) text.Append('{').Append(labels).Append('}');
            text.Append(' ').Append(TextOf(value)).Append('\n');
        }
    }
}
