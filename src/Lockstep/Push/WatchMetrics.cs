using System.Diagnostics.Metrics;
using Lockstep.Settings;

namespace Lockstep.Push;

/// <summary>What goes to watchers, in numbers.</summary>
internal static class WatchMetrics
{
    public static readonly UpDownCounter<long> Watchers = Telemetry.Meter.CreateUpDownCounter<long>(
        "lockstep.watch.connections", description: "Open watch connections");

    public static readonly Counter<long> Pushed = Telemetry.Meter.CreateCounter<long>(
        "lockstep.watch.pushed", description: "Changes of documents handed to watchers, counted once for each of them");

    public static readonly Histogram<double> PushDuration = Telemetry.Seconds(
        "lockstep.watch.push.duration", "From a release being served until a document's change has left for the last of those who see the same of it");

    public static readonly Counter<long> Closed = Telemetry.Meter.CreateCounter<long>(
        "lockstep.watch.closed", description: "Watch connections the server closed, by close code");
}
