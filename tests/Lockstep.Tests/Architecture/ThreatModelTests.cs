using System.Text.RegularExpressions;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Architecture;

/// <summary>What docs/threat-model.md says stands somewhere is held by the tests that it names.</summary>
public sealed partial class ThreatModelTests
{
    [Fact]
    public void Every_row_of_the_threat_model_names_tests_that_there_are()
    {
        var rows = File.ReadLines(Path.Combine(Repository.Root, "docs/threat-model.md")).Where(l => l.StartsWith("| ", StringComparison.Ordinal)).Skip(1).ToList();
        rows.Count.ShouldBeGreaterThan(15);
        var tests = Repository.Sources.Where(f => f.Path.StartsWith("tests/", StringComparison.Ordinal)).Select(f => Path.GetFileNameWithoutExtension(f.Path).Split('.')[0]).ToHashSet(StringComparer.Ordinal);
        foreach (var row in rows)
        {
            var named = Name().Matches(row.TrimEnd('|', ' ').Split('|')[^1]).Select(m => m.Groups["name"].Value).ToList();
            named.ShouldNotBeEmpty(row);
            named.Except(tests, StringComparer.Ordinal).ShouldBeEmpty(row);
        }
    }

    [GeneratedRegex("`(?<name>[A-Za-z0-9_]+)`", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Name();
}
