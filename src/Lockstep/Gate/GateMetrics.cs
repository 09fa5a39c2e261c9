using System.Diagnostics.Metrics;
using Lockstep.Settings;

namespace Lockstep.Gate;

/// <summary>What goes through the gate, in numbers.</summary>
internal static class GateMetrics
{
    public static readonly Counter<long> Reads = Telemetry.Meter.CreateCounter<long>(
        "lockstep.config.reads", description: "Documents that callers read, by outcome: served or not_modified");

    public static readonly Counter<long> Disclosures = Telemetry.Meter.CreateCounter<long>(
        "lockstep.secrets.disclosures", description: "Secret versions that left, counted once for each answer they were in");

    public static readonly Counter<long> Denials = Telemetry.Meter.CreateCounter<long>(
        "lockstep.denials", description: "Calls of identified callers that were refused");

    public static readonly KeyValuePair<string, object?> Served = new("outcome", "served");

    public static readonly KeyValuePair<string, object?> NotModified = new("outcome", "not_modified");
}
