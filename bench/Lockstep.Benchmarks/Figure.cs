namespace Lockstep.Benchmarks;

/// <summary>One measured figure: every turn of it, and what it stands beside.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Unit">Such as <c>req/s</c> or <c>ms</c>.</param>
/// <param name="Turns">The result of every turn; the median counts.</param>
/// <param name="Beside">The limit or peer that the ratio is taken to.</param>
/// <param name="Target">What the design asks for, in words.</param>
internal sealed record Figure(string Name, string Unit, IReadOnlyList<double> Turns, Figure? Beside = null, string Target = "")
{
    public double Median => MedianOf(Turns);

    /// <summary>Null without a peer, and beside one that is too small to be measured.</summary>
    public double? Ratio => Beside is { Median: > 0 } ? Median / Beside.Median : null;

    private static double MedianOf(IReadOnlyList<double> values)
    {
        var sorted = values.Order().ToList();
        var middle = sorted.Count / 2;
        return sorted.Count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
