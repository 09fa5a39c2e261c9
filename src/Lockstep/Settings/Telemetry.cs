using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Lockstep.Settings;

/// <summary>The one meter and the one source of spans of the program; each part adds its own, named as OpenTelemetry's conventions have it. Without anybody who listens a span is null
/// and a measurement a branch.</summary>
internal static class Telemetry
{
    public const string MeterName = "Lockstep";

    /// <summary>The source of the spans of requests, which the framework makes.</summary>
    public const string RequestSourceName = "Microsoft.AspNetCore";

    public static readonly Meter Meter = new(MeterName);

    public static readonly ActivitySource Source = new(MeterName);

    /// <summary>Upper bounds of the buckets of every duration, in seconds.</summary>
    public static IReadOnlyList<double> SecondsBuckets { get; } = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

    /// <summary>A histogram of durations in seconds.</summary>
    public static Histogram<double> Seconds(string name, string description) =>
        Meter.CreateHistogram(name, "s", description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = SecondsBuckets });

    /// <summary>Times what happens until it is disposed, as a measurement and as a span.</summary>
    public static Timed Time(Histogram<double> histogram, string span, KeyValuePair<string, object?> tag = default) => new(histogram, Source.StartActivity(span), tag);
}

/// <summary>One thing that takes time. What failed is counted as such unless it says <see cref="Done"/>.</summary>
internal sealed class Timed(Histogram<double> histogram, Activity? span, KeyValuePair<string, object?> tag) : IDisposable
{
    private static readonly KeyValuePair<string, object?> s_failed = new("error.type", "failed");

    private readonly long _start = Stopwatch.GetTimestamp();
    private bool _done;

    /// <summary>It went well.</summary>
    public void Done() => _done = true;

    public void Dispose()
    {
        var tags = new TagList();
        if (tag.Key is not null) tags.Add(tag);
        if (!_done) tags.Add(s_failed);
        histogram.Record(Stopwatch.GetElapsedTime(_start).TotalSeconds, tags);
        if (span is null) return;
        if (tag.Key is not null) span.SetTag(tag.Key, tag.Value);
        // Without the reason: it is in the log, and an exception's words are not for everybody.
        if (!_done) span.SetStatus(ActivityStatusCode.Error);
        span.Dispose();
    }
}
