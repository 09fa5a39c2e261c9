using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Lockstep.Tests.Architecture;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Supply;

/// <summary>What is shipped of others' making.</summary>
public sealed partial class DependencyTests(ITestOutputHelper output)
{
    // The SDK brings it in the version that it has itself.
    private const string OfTheSdk = "Microsoft.NET.ILLink.Tasks";

    [Fact]
    public void Every_package_that_is_shipped_is_in_the_table_with_its_reason_and_nothing_else_is()
    {
        var table = TableRow().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "dependencies.md")))
            .Select(m => (Name: m.Groups["name"].Value, Version: m.Groups["version"].Value)).Where(p => p.Name != OfTheSdk);
        table.Order().ShouldBe(Packages().Select(p => (p.Name, p.Version)).Where(p => p.Name != OfTheSdk).Distinct().Order());
    }

    [Fact]
    public void Every_package_is_locked_by_the_hash_of_its_content()
    {
        Packages().Count().ShouldBeGreaterThan(10);
        foreach (var (name, _, hash) in Packages()) Convert.FromBase64String(hash ?? "").Length.ShouldBe(64, name);
        foreach (var project in Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.csproj", SearchOption.AllDirectories)) File.Exists(Path.Combine(Path.GetDirectoryName(project)!, "packages.lock.json")).ShouldBeTrue(project);
    }

    [Fact]
    public void No_package_is_of_a_version_with_an_advisory_that_is_known()
    {
        var advisories = File.ReadAllLines(Path.Combine(Repository.Root, "tests", "Lockstep.Tests", "Supply", "advisories.txt"))
            .Where(l => l.Length > 0 && l[0] != '#').Select(l => l.Split(' ')).Select(f => (Name: f[0], Range: f[1], Advisory: f[2])).ToList();
        advisories.Count.ShouldBeGreaterThan(20);
        foreach (var (name, version, _) in Packages())
            foreach (var advisory in advisories.Where(a => string.Equals(a.Name, name, StringComparison.OrdinalIgnoreCase)))
                IsIn(version, advisory.Range).ShouldBeFalse($"{name} {version}: {advisory.Advisory}");
    }

    [Theory]
    [InlineData("1.2.3", "[1.2.3,1.2.4)", true)]
    [InlineData("1.2.4", "[1.2.3,1.2.4)", false)]
    [InlineData("1.10.0", "[1.9.0,1.11.0)", true)]
    [InlineData("0.1.0", "(,1.0.0)", true)]
    [InlineData("1.0.0", "(,1.0.0)", false)]
    [InlineData("1.0.0-beta.1", "(,1.0.0)", true)]
    [InlineData("1.0.1", "[1.0.0,1.0.1]", true)]
    public void Ranges_are_read_as_they_are_meant(string version, string range, bool inside) => IsIn(version, range).ShouldBe(inside);

    // What the feed knows. Some feeds know nothing, which is no failure.
    [Fact]
    [Trait("speed", "long")]
    public async Task The_feed_knows_of_no_advisory()
    {
        foreach (var project in new[] { "src/Lockstep/Lockstep.csproj", "src/Lockstep.Client/Lockstep.Client.csproj" })
        {
            var start = new ProcessStartInfo("dotnet", ["list", project, "package", "--vulnerable", "--include-transitive", "--format", "json"]) { WorkingDirectory = Repository.Root, RedirectStandardOutput = true, RedirectStandardError = true };
            using var process = Process.Start(start)!;
            using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(3));
            var error = process.StandardError.ReadToEndAsync(CancellationToken.None);
            var said = "";
            try
            {
                said = await process.StandardOutput.ReadToEndAsync(deadline.Token);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
            }
            output.WriteLine(said + await error);
            said.ShouldNotContain("\"vulnerabilities\"");
        }
    }

    private static IEnumerable<(string Name, string Version, string? Hash)> Packages()
    {
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "packages.lock.json", SearchOption.AllDirectories))
        {
            using var json = JsonDocument.Parse(File.ReadAllText(file));
            foreach (var package in json.RootElement.GetProperty("dependencies").EnumerateObject().SelectMany(f => f.Value.EnumerateObject()))
                if (package.Value.GetProperty("type").GetString() != "Project")
                    yield return (package.Name, package.Value.GetProperty("resolved").GetString()!, package.Value.TryGetProperty("contentHash", out var hash) ? hash.GetString() : null);
        }
    }

    private static bool IsIn(string version, string range)
    {
        var ends = range[1..^1].Split(',');
        return (ends[0].Length == 0 || Compare(version, ends[0]) is var low && (range[0] == '[' ? low >= 0 : low > 0)) && (ends[1].Length == 0 || Compare(version, ends[1]) is var high && (range[^1] == ']' ? high <= 0 : high < 0));
    }

    private static int Compare(string one, string other)
    {
        var order = Version.Parse(one.Split('-')[0]).CompareTo(Version.Parse(other.Split('-')[0]));
        // What has a suffix comes before what has none.
        return order != 0 ? order : other.Contains('-', StringComparison.Ordinal).CompareTo(one.Contains('-', StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^\| `(?<name>[^`]+)` \| (?<version>[^ ,]+)[^|]* \| [^|]{5,} \| [^|]{4,} \|$", RegexOptions.Multiline | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex TableRow();
}
