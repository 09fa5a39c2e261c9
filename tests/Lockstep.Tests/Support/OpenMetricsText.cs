using System.Globalization;
using System.Text.RegularExpressions;
using Shouldly;

namespace Lockstep.Tests.Support;

/// <summary>Reads OpenMetrics 1.0 text and refuses what the specification does not allow; of it, what this server uses: counters, gauges and histograms without timestamps.</summary>
internal sealed partial class OpenMetricsText
{
    private OpenMetricsText()
    {
    }

    /// <summary>Name of a family → its type.</summary>
    public Dictionary<string, string> Families { get; } = new(StringComparer.Ordinal);

    public HashSet<string> WithHelp { get; } = new(StringComparer.Ordinal);

    public List<(string Family, string Name, IReadOnlyDictionary<string, string> Labels, double Value)> Samples { get; } = [];

    public static OpenMetricsText Parse(string text)
    {
        text.ShouldEndWith("# EOF\n");
        text.ShouldNotContain('\r');
        var read = new OpenMetricsText();
        var family = "";
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var line in text[..^"# EOF\n".Length].Split('\n')[..^1])
        {
            line.ShouldNotBeEmpty();
            if (line[0] == '#') family = read.Describe(line, family);
            else seen.Add(read.Sample(line, family)).ShouldBeTrue("a series is there twice: " + line);
        }
        foreach (var histogram in read.Families.Where(f => f.Value == "histogram")) read.CheckHistogram(histogram.Key);
        foreach (var (name, _) in read.Families) read.Samples.ShouldContain(s => s.Family == name, name + " has no sample");
        return read;
    }

    private string Describe(string line, string family)
    {
        var match = DescriptionLine().Match(line);
        match.Success.ShouldBeTrue(line);
        var (kind, name, rest) = (match.Groups["kind"].Value, match.Groups["name"].Value, match.Groups["rest"].Value);
        if (kind == "TYPE")
        {
            Families.TryAdd(name, rest).ShouldBeTrue("a family is there twice: " + line);
            rest.ShouldBeOneOf("counter", "gauge", "histogram");
            if (rest == "counter") name.ShouldNotEndWith("_total");
            return name;
        }
        // A family's lines stand together.
        name.ShouldBe(family, line);
        if (kind == "UNIT") name.ShouldEndWith("_" + rest);
        if (kind == "HELP") WithHelp.Add(name);
        if (kind == "HELP") Escapes().Replace(rest, "").ShouldNotContain('\\');
        return family;
    }

    private string Sample(string line, string family)
    {
        var match = SampleLine().Match(line);
        match.Success.ShouldBeTrue(line);
        var name = match.Groups["name"].Value;
        var endings = Families[family] switch { "counter" => new[] { "_total" }, "histogram" => ["_bucket", "_count", "_sum"], _ => [""] };
        endings.Select(e => family + e).ShouldContain(name, line);
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (Match label in Label().Matches(match.Groups["labels"].Value)) labels.TryAdd(label.Groups["name"].Value, label.Groups["value"].Value).ShouldBeTrue(line);
        var text = match.Groups["value"].Value;
        var value = text == "+Inf" ? double.PositiveInfinity : double.Parse(text, NumberStyles.Float, CultureInfo.InvariantCulture);
        if (Families[family] != "gauge") value.ShouldBeGreaterThanOrEqualTo(0, line);
        Samples.Add((family, name, labels, value));
        return name + match.Groups["labels"].Value;
    }

    // Buckets of one series: growing bounds, in the form of numbers with a fraction, counts that never fall, and the last is all.
    private void CheckHistogram(string family)
    {
        foreach (var series in Samples.Where(s => s.Family == family).GroupBy(s => string.Join(',', s.Labels.Where(l => l.Key != "le").OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"))))
        {
            var buckets = series.Where(s => s.Name == family + "_bucket").ToList();
            var bounds = buckets.Select(b => b.Labels["le"]).ToList();
            bounds[^1].ShouldBe("+Inf");
            bounds[..^1].ShouldAllBe(b => b.Contains('.'));
            var numbers = bounds[..^1].Select(b => double.Parse(b, CultureInfo.InvariantCulture)).ToList();
            numbers.ShouldBe(numbers.Order().Distinct());
            buckets.Select(b => b.Value).ShouldBe(buckets.Select(b => b.Value).Order());
            series.Single(s => s.Name == family + "_count").Value.ShouldBe(buckets[^1].Value);
            series.Single(s => s.Name == family + "_sum").Value.ShouldBeGreaterThanOrEqualTo(0);
        }
    }

    [GeneratedRegex(@"^# (?<kind>TYPE|UNIT|HELP) (?<name>[a-zA-Z_][a-zA-Z0-9_]*) (?<rest>.+)$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex DescriptionLine();

    [GeneratedRegex(@"^(?<name>[a-zA-Z_][a-zA-Z0-9_]*)(?<labels>\{[a-zA-Z_][a-zA-Z0-9_]*=""(?:[^""\\\n]|\\[\\n""])*""(?:,[a-zA-Z_][a-zA-Z0-9_]*=""(?:[^""\\\n]|\\[\\n""])*"")*\})? (?<value>-?[0-9.]+(?:[eE][-+]?[0-9]+)?|\+Inf|NaN)$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex SampleLine();

    [GeneratedRegex(@"(?<name>[a-zA-Z_][a-zA-Z0-9_]*)=""(?<value>(?:[^""\\\n]|\\[\\n""])*)""", RegexOptions.ExplicitCapture)]
    private static partial Regex Label();

    [GeneratedRegex(@"\\[\\n""]", RegexOptions.NonBacktracking)]
    private static partial Regex Escapes();
}
