using System.Globalization;
using System.Text;
using Lockstep.Client;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>Repositories that are large, or that mean harm: the server stays up, says what is wrong, and takes bounded memory and time.</summary>
[Trait("speed", "medium")]
public sealed class HostileRepositoryTests(ITestOutputHelper output) : IDisposable
{
    private const long MaxResidentBytes = 700L * 1024 * 1024;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_hundred_thousand_files()
    {
        var files = Enumerable.Range(0, 100_000).Select(n => ($"s{n}.yml", (string?)$"n: {n}\n")).Prepend(("application.yml", "shared: 1\n"));
        await using var server = await StartAsync(files);
        using var api = server.Api();
        foreach (var n in new[] { 0, 54_321, 99_999 })
            (await api.GetConfigAsync($"s{n}", "production")).Snapshot!.Values["n"].GetInt32().ShouldBe(n);
        await _repository!.CommitAsync("s7.yml", "n: -7\n");
        await api.RefreshAsync();
        (await api.GetConfigAsync("s7", "production")).Snapshot!.Values["n"].GetInt32().ShouldBe(-7);
        Bounded(server);
    }

    [Fact]
    public async Task What_is_too_large_or_never_ends_is_refused_by_name_and_the_rest_is_served()
    {
        var bomb = new StringBuilder("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for (var n = 1; n < 12; n++) bomb.Append(CultureInfo.InvariantCulture, $"a{n}: &a{n} [*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1},*a{n - 1}]\n");
        var doubling = new StringBuilder("k0: 0123456789\n");
        for (var n = 1; n < 60; n++) doubling.Append(CultureInfo.InvariantCulture, $"k{n}: ${{k{n - 1}}}${{k{n - 1}}}\n");
        (string Name, string Text, string[] Says)[] bad =
        [
            ("large", "k: " + new string('x', 10 * 1024 * 1024) + "\n", ["large.yml"]),
            ("bomb", bomb.ToString(), ["bomb.yml"]),
            ("deep", new string('[', 100_000), ["deep.yml"]),
            ("doubling", doubling.ToString(), ["doubling.yml", "k"]),
            ("cycle", "one: ${two}\ntwo: ${three}\nthree: ${one}\n", ["cycle.yml", "one", "two", "three"]),
            ("nul", "a: \"\0\"\n", ["nul.yml"]),
            ("twice", "a: 1\nb: 2\na: 3\n", ["twice.yml:3"]),
            ("lost", "a: ${secret:no/such}\n", ["no/such"]),
        ];
        await using var server = await StartAsync([("good.yml", "a: 1\n"), .. bad.Select(b => (b.Name + ".yml", (string?)b.Text))]);
        foreach (var (name, _, says) in bad)
        {
            var result = await server.RunAsync("config", "get", "-s", name, "-e", "production");
            result.ExitCode.ShouldBe(ErrorCode.InvalidConfig.ExitCode, $"{name}: {result.Error}");
            foreach (var word in says) result.Error.ShouldContain(word);
            result.Error.Length.ShouldBeLessThan(4000);
            result.Error.ShouldNotContain("   at ");
        }
        (await server.RunAsync("config", "get", "a", "-s", "good", "-e", "production")).Ok().Trim().ShouldBe("1");

        // Many at once take no more.
        await Task.WhenAll(Enumerable.Range(0, 40).Select(async n =>
        {
            using var answer = await server.Client.GetAsync(new Uri($"/v1/config/{bad[n % bad.Length].Name}/e{n}", UriKind.Relative));
            ((int)answer.StatusCode).ShouldBe(422);
        }));
        (await server.RunAsync("config", "get", "a", "-s", "good", "-e", "production")).Ok().Trim().ShouldBe("1");
        Bounded(server);
    }

    [Fact]
    public async Task Links_submodules_and_names_that_climb_lead_nowhere()
    {
        var outside = _scratch.Write("outside.yml", "stolen: 1\n");
        await using var server = await StartAsync([("good.yml", "a: 1\n")]);
        using var api = server.Api();
        (await api.GetConfigAsync("good", "production")).ShouldNotBeNull();
        var good = await ObjectAsync(["rev-parse", "main:good.yml"], "");
        var commit = await ObjectAsync(["rev-parse", "main"], "");
        var link = await ObjectAsync(["hash-object", "-w", "--stdin"], outside);
        var hidden = await ObjectAsync(["hash-object", "-w", "--stdin"], "hidden: 1\n");
        var inner = await TreeAsync(("100644", "up.yml", hidden));
        // git itself would never make such a tree; a hostile remote may.
        var tree = await TreeAsync(
            ("40000", "..", inner), ("40000", ".git", inner), ("100644", "../climb.yml", hidden), ("100644", "good.yml", good),
            ("120000", "link.yml", link), ("160000", "module.yml", commit));
        var next = await ObjectAsync(["-c", "user.name=t", "-c", "user.email=t@example.org", "commit-tree", "-p", commit, "-m", "hostile", tree], "");
        await ObjectAsync(["update-ref", "refs/heads/main", next], "");

        (await server.RunAsync("refresh")).ExitCode.ShouldBeOneOf(0, 6);
        foreach (var service in new[] { "link", "module", "climb", "up" })
            (await server.RunAsync("config", "get", "-s", service, "-e", "production")).ExitCode.ShouldBe(ErrorCode.NotFound.ExitCode, service);
        (await api.GetConfigAsync("good", "production")).Snapshot!.Values["a"].GetInt32().ShouldBe(1);
        (await server.RunAsync("config", "get", "-s", "good", "-e", "../../outside")).ExitCode.ShouldBe(2);
        (await server.RunAsync("config", "get", "-s", "good", "-e", "production", "--label", "../../x")).ExitCode.ShouldBeOneOf(2, 3);
        (await server.RunAsync("config", "get", "-s", "good", "-e", "production", "--label", "--output=x")).ExitCode.ShouldBeOneOf(2, 3);
        Bounded(server);
    }

    private ConfigRepository? _repository;

    private async Task<PublishedServer> StartAsync(IEnumerable<(string Path, string? Text)> files)
    {
        _repository = await ConfigRepository.CreateAsync(_scratch["config.git"], files);
        return await PublishedServer.StartAsync(new() { ConfigUrl = _repository.Path });
    }

    private async Task<string> TreeAsync(params (string Mode, string Name, string Id)[] entries)
    {
        using var tree = new MemoryStream();
        foreach (var (mode, name, id) in entries)
        {
            tree.Write(Encoding.UTF8.GetBytes($"{mode} {name}\0"));
            tree.Write(Convert.FromHexString(id));
        }
        var file = _scratch["tree"];
        await File.WriteAllBytesAsync(file, tree.ToArray());
        return await ObjectAsync(["hash-object", "-t", "tree", "--literally", "-w", file], "");
    }

    private async Task<string> ObjectAsync(string[] arguments, string input) =>
        (await Tool.RunAsync(Tool.Start("git", arguments, _repository!.Path), input)).Ok().Trim();

    private void Bounded(PublishedServer server)
    {
        var line = File.ReadLines($"/proc/{server.ProcessId}/status").First(l => l.StartsWith("VmHWM:", StringComparison.Ordinal));
        var peak = long.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[^2], CultureInfo.InvariantCulture) * 1024;
        output.WriteLine($"peak resident: {peak / 1024 / 1024} MiB");
        peak.ShouldBeLessThan(MaxResidentBytes);
    }
}
