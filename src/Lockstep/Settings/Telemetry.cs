using System.Diagnostics.Metrics;

namespace Lockstep.Settings;

/// <summary>The one meter of the program; each part adds its instruments, named as OpenTelemetry's conventions have it.</summary>
internal static class Telemetry
{
    public const string MeterName = "Lockstep";

    public static readonly Meter Meter = new(MeterName);
}
