using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Lockstep.Benchmarks;

/// <summary>The table on the screen and the file for later comparison.</summary>
internal sealed class Report(bool quick)
{
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly DateTimeOffset _at = TimeProvider.System.GetUtcNow();
    private readonly List<Figure> _figures = [];
    private readonly List<(string Benchmark, string Reason)> _failures = [];

    public bool Failed => _failures.Count > 0;

    private string Machine => $"{Environment.ProcessorCount} cores shared by the load, the server and its peers (which run one at a time), .NET {Environment.Version}, "
        + RuntimeInformation.OSDescription;

    public void Add(IReadOnlyList<Figure> figures) => _figures.AddRange(figures);

    public void Fail(string benchmark, Exception reason) => _failures.Add((benchmark, reason.Message));

    public void Print(TextWriter output)
    {
        List<string[]> rows = [["figure", "median", "unit", "min … max", "turns", "ratio", "beside", "target"]];
        rows.AddRange(_figures.Select(f => new[]
        {
            f.Name, Number(f.Median), f.Unit, $"{Number(f.Turns.Min())} … {Number(f.Turns.Max())}", f.Turns.Count.ToString(CultureInfo.InvariantCulture),
            f.Ratio?.ToString("0.00", CultureInfo.InvariantCulture) ?? "", f.Beside?.Name ?? "", f.Target,
        }));
        var widths = Enumerable.Range(0, rows[0].Length).Select(column => rows.Max(row => row[column].Length)).ToArray();
        output.WriteLine();
        output.WriteLine(Machine);
        if (quick) output.WriteLine("a quick run: it shows that the benchmarks work, its figures are worth little");
        output.WriteLine();
        foreach (var row in rows)
            output.WriteLine(string.Join("  ", row.Select((cell, column) => column is 1 or 3 or 4 or 5 ? cell.PadLeft(widths[column]) : cell.PadRight(widths[column]))).TrimEnd());
        output.WriteLine();
        foreach (var (benchmark, reason) in _failures) output.WriteLine($"FAILED {benchmark}: {reason}");
    }

    /// <summary>Writes <c>artifacts/bench/DATE.json</c> under the working directory and returns its path.</summary>
    public string Write()
    {
        var path = Path.Combine("artifacts", "bench", _at.ToString("yyyy-MM-dd'T'HHmmss'Z'", CultureInfo.InvariantCulture) + ".json");
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, JsonSerializer.Serialize(new
        {
            at = _at,
            machine = Machine,
            quick,
            figures = _figures.Select(f => new { f.Name, f.Unit, f.Median, f.Turns, beside = f.Beside?.Name, f.Ratio, f.Target }),
            failures = _failures.Select(f => new { f.Benchmark, f.Reason }),
        }, s_json));
        return path;
    }

    private static string Number(double value) => value.ToString(value >= 1000 ? "#,0" : value >= 10 ? "0.0" : "0.00", CultureInfo.InvariantCulture);
}
