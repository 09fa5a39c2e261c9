using System.Globalization;
using System.Text.RegularExpressions;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>Load from wrk: one thread, 64 connections, one request each at a time.</summary>
internal static partial class Wrk
{
    /// <summary>Requests a second. Any answer but 200, and any broken connection, fails the benchmark: its figure would mean nothing.</summary>
    public static async Task<double> RunAsync(Uri address, string? token, int seconds)
    {
        string[] header = token is null ? [] : ["-H", $"Authorization: Bearer {token}"];
        var output = (await Tool.RunAsync("wrk", ["-t1", "-c64", $"-d{seconds}s", .. header, address.ToString()])).Ok();
        if (output.Contains("Non-2xx", StringComparison.Ordinal) || output.Contains("Socket errors", StringComparison.Ordinal))
            throw new InvalidOperationException($"wrk at {address}: {output}");
        var rate = Rate().Match(output);
        return rate.Success
            ? double.Parse(rate.Groups["rate"].ValueSpan, CultureInfo.InvariantCulture)
            : throw new InvalidOperationException($"wrk at {address} printed no rate: {output}");
    }

    [GeneratedRegex(@"Requests/sec:\s+(?<rate>[0-9.]+)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Rate();
}
