using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>L2 and L8 with the program itself, where the record has to be in a file too: killed, on a full disk, and on standard output.</summary>
[Trait("speed", "medium")]
public sealed class AuditSinkTests(ITestOutputHelper output)
{
    private static readonly (string, string?)[] s_files = [("plain.yml", "a: 1\n"), ("shop.yml", "password: ${secret:shop/db}\n")];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task What_was_disclosed_is_in_the_file_after_a_kill_and_every_entry_is_there_once(int seed)
    {
        using var scratch = new Scratch();
        var file = scratch["audit.jsonl"];
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], s_files);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Settings = $"audit: {{ file: {file}, maxFileSize: 1MiB }}" });
        var random = new Random(seed);
        using (var api = server.Api()) await api.PutSecretAsync("shop/db", Value("first", isNew: true));
        var given = new ConcurrentDictionary<string, bool>(StringComparer.Ordinal);
        for (var life = 1; life <= 3; life++)
        {
            var target = given.Count + 100 + random.Next(200);
            var readers = Enumerable.Range(0, 8).Select(n => Task.Run(() => ReadUntilGoneAsync(server, given, $"{seed}-{life}-{n}"))).ToList();
            await Tool.UntilAsync(() => Task.FromResult(given.Count >= target), TimeSpan.FromSeconds(90), $"{target} disclosures");
            // As they stand at that moment: nothing may be missing that was answered.
            var answered = given.Keys.ToList();
            await server.KillAsync();
            await Task.WhenAll(readers);
            var text = await TextAsync(file);
            answered.Where(i => !text.Contains($"\"{i}\"", StringComparison.Ordinal)).ShouldBeEmpty($"seed {seed}, life {life}");
            if (life == 2) await File.AppendAllTextAsync(file, "{\"node\":\"local\",\"se");
            await server.StartAgainAsync();
        }
        using (var api = server.Api())
        {
            var verified = await api.VerifyAuditAsync();
            verified.Valid.ShouldBeTrue($"{verified.FirstBad?.Reason}");
        }
        (await server.StopAsync()).ShouldBe(0);
        var all = await TextAsync(file);
        var seqs = all.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l).GetProperty("seq").GetInt64()).ToList();
        seqs.ShouldBe(Enumerable.Range(1, seqs.Count).Select(i => (long)i), $"seed {seed}");
        given.Keys.ShouldAllBe(i => all.Contains($"\"{i}\"", StringComparison.Ordinal));
        all.ShouldNotContain("first");
        output.WriteLine($"{given.Count} disclosures, {seqs.Count} entries");
    }

    [Fact]
    public async Task A_full_disk_under_the_file_stops_disclosures_says_so_and_heals_by_itself()
    {
        using var scratch = new Scratch();
        var disk = Directory.CreateDirectory(scratch["disk"]).FullName;
        if (await MountAsync("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk) is { } reason)
        {
            output.WriteLine($"SKIPPED: a small disk can't be mounted here: {reason.Trim()}");
            return;
        }
        try
        {
            await FillAsync(scratch, disk);
        }
        finally
        {
            await MountAsync("umount", disk);
        }
    }

    [Fact]
    public async Task Standard_output_has_a_line_for_each_entry_between_the_logs()
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], s_files);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Settings = "audit: { stdout: true }" });
        using var api = server.Api();
        await api.PutSecretAsync("shop/db", Value("the-value", isNew: true));
        for (var i = 0; i < 20; i++) await api.GetConfigAsync("shop", "production");
        (await server.StopAsync()).ShouldBe(0);
        var lines = server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonElement.Parse(l)).ToList();
        var entries = lines.Where(l => l.TryGetProperty("mac", out _)).ToList();
        entries.Select(e => e.GetProperty("seq").GetInt64()).ShouldBeInOrder();
        entries.Count(e => e.GetProperty("action").GetString() == "config.read").ShouldBe(20);
        entries.Count.ShouldBeLessThan(lines.Count);
        server.Log.ShouldNotContain("the-value");
    }

    private static async Task FillAsync(Scratch scratch, string disk)
    {
        var file = Path.Combine(disk, "audit.jsonl");
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], s_files);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path, Settings = $"audit: {{ file: {file} }}" });
        using var api = server.Api();
        await api.PutSecretAsync("shop/db", Value("first", isNew: true));
        await api.GetConfigAsync("shop", "production");
        var ballast = Path.Combine(disk, "ballast");
        await File.WriteAllBytesAsync(ballast, new byte[900 * 1024]);
        var answered = 1;
        var refused = await Should.ThrowAsync<LockstepException>(async () =>
        {
            for (; answered < 10_000; answered++) await api.GetConfigAsync("shop", "production");
        });
        refused.Code.ShouldBe(ErrorCode.Unavailable);
        refused.Message.ShouldContain("audit.jsonl");
        refused.Message.ShouldContain("No space left");
        var (status, readiness) = await server.ReadinessAsync();
        status.ShouldBe(HttpStatusCode.ServiceUnavailable);
        readiness.ShouldContain("No space left");
        // Writes and what is not secret go on, and a denial stays one.
        await api.PutSecretAsync("shop/db", Value("second"));
        (await api.GetConfigAsync("plain", "production")).Snapshot!.Values["a"].GetInt32().ShouldBe(1);
        var viewer = await api.CreateTokenAsync(new TokenCreate { Name = "viewer", Role = "viewer" });
        using (var other = server.Api(viewer.Token)) (await Should.ThrowAsync<LockstepException>(other.RevealSecretAsync("shop/db"))).Code.ShouldBe(ErrorCode.Forbidden);
        (await File.ReadAllTextAsync(file))[^1].ShouldBe('\n');

        File.Delete(ballast);
        await Tool.UntilAsync(async () => (await server.ReadinessAsync()).Status == HttpStatusCode.OK, TimeSpan.FromSeconds(30), "ready again");
        (await api.GetConfigAsync("shop", "production")).Snapshot!.Values["password"].GetString().ShouldBe("second");
        (await api.VerifyAuditAsync()).Valid.ShouldBeTrue();
        (await server.StopAsync()).ShouldBe(0);
        var lines = (await File.ReadAllLinesAsync(file)).Select(l => JsonElement.Parse(l)).ToList();
        lines.Select(l => l.GetProperty("seq").GetInt64()).ShouldBe(Enumerable.Range(1, lines.Count).Select(i => (long)i));
        lines.Where(l => l.GetProperty("action").GetString() == "config.read").Sum(l => l.GetProperty("count").GetInt32()).ShouldBeGreaterThanOrEqualTo(answered);
    }

    // Each by a name of its own, so that its entry can be found.
    private static async Task ReadUntilGoneAsync(PublishedServer server, ConcurrentDictionary<string, bool> given, string reader)
    {
        using var http = new HttpClient { BaseAddress = server.Address };
        http.DefaultRequestHeaders.Authorization = new("Bearer", server.Token);
        try
        {
            for (var n = 0; ; n++)
            {
                var instance = $"{reader}-{n}";
                using var request = new HttpRequestMessage(HttpMethod.Get, "/v1/config/shop/production");
                request.Headers.Add("Lockstep-Instance", instance);
                using var answer = await http.SendAsync(request);
                if (answer.IsSuccessStatusCode) given[instance] = true;
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or System.Net.Sockets.SocketException)
        {
            // Killed.
        }
    }

    // The files that were put aside and the one that is written, in their order.
    private static async Task<string> TextAsync(string file)
    {
        var aside = Directory.GetFiles(Path.GetDirectoryName(file)!, Path.GetFileName(file) + ".*").Where(f => f != file)
            .OrderBy(f => long.Parse(Path.GetFileName(f)[(Path.GetFileName(file).Length + 1)..].Split('-')[0], System.Globalization.CultureInfo.InvariantCulture));
        return string.Concat(await Task.WhenAll(aside.Append(file).Where(File.Exists).Select(f => File.ReadAllTextAsync(f))));
    }

    private static SecretPut Value(string text, bool isNew = false) => new() { Value = JsonSerializer.SerializeToElement(text), Cas = isNew ? 0 : null };

    private static async Task<string?> MountAsync(string program, params string[] arguments)
    {
        try
        {
            var result = await Tool.RunAsync(program, arguments);
            return result.ExitCode == 0 ? null : result.Error;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return e.Message;
        }
    }
}
