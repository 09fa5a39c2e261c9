using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

public sealed class L3_Nothing_leaks
{
    private const string Whole = "canary-whole-9f31";
    private const string Field = "canary-field-77ab";
    private const string Number = "8813377001";
    private static readonly string[] s_canaries = ["canary", Number];

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_secret_value_is_in_no_log_metric_problem_header_record_or_file()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var seen = new List<(string What, string Text)>();
        var reader = await server.AsAsync("reader");
        var viewer = await server.AsAsync("viewer");
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var seal = ("Lockstep-Seal-To", Jwe.ExportPublicKey(key));
        var admin = server.Admin;

        async Task<Answer> SayAsync(Task<Answer> sending, bool maySay = false)
        {
            var answer = await sending;
            if (!maySay) seen.Add(("body of " + answer.Status, answer.Text));
            seen.Add(("headers", string.Join('\n', answer.Headers.Select(h => h.Key + ": " + string.Join(',', h.Value)))));
            return answer;
        }

        (await SayAsync(server.PutAsync("shop/whole", Whole))).Ok();
        (await SayAsync(admin.PutAsync("/v1/secrets/shop/json", new { value = new { password = Field, pin = 8813377001, deep = new { x = "canary-deep" } }, cas = 0 }))).Ok();
        (await SayAsync(reader.ConfigAsync("shop/dev"), maySay: true)).Ok().Text.ShouldContain($"pg://{Field}:{Number}@db/{Whole}");
        foreach (var format in new[] { "nested", "dotenv", "yaml", "properties" })
        {
            (await SayAsync(reader.ConfigAsync("shop/dev", "?format=" + format), maySay: true)).Ok().Text.ShouldContain(Whole);
            // Two keys that come to one: refused in some formats.
            var clash = await reader.ConfigAsync("clash/dev", "?format=" + format);
            await SayAsync(Task.FromResult(clash), maySay: clash.Status == 200);
        }
        await SayAsync(viewer.ConfigAsync("shop/dev"));
        foreach (var service in new[] { "bad", "cycle" }) (await SayAsync(reader.ConfigAsync(service + "/dev"))).ShouldBe(422);
        foreach (var path in new[] { "/v1/secrets", "/v1/secrets/shop/json", "/v1/secret-versions/shop/json", "/v1/audit", "/v1/releases", "/v1/config/shop/dev/history", "/v1/config/shop/dev/diff?from=1&to=3", "/v1/config/shop/dev/diff?from=2&to=3", "/v1/whoami", "/v1/tokens", "/readyz", "/metrics" })
            await SayAsync(admin.GetAsync(path));
        (await SayAsync(admin.GetAsync("/v1/secrets/shop/json", seal))).Ok().Json.GetProperty("value").GetString()!.Split('.').Length.ShouldBe(5);
        foreach (var (method, path, body) in Mistakes()) (await SayAsync(admin.SendAsync(method, path, body))).Status.ShouldBeOneOf([400, 404, 409, 412, 413], $"{method} {path} {body}");
        (await SayAsync(admin.GetAsync("/v1/secrets/shop/whole", ("Lockstep-Seal-To", Convert.ToBase64String(Encoding.UTF8.GetBytes(Whole)))))).ShouldBe(400);

        // A second version, an activation, a rollback, deletion and purge: their records and messages.
        (await SayAsync(admin.PutAsync("/v1/secrets/shop/whole?activate=false", new { value = "canary-two" }))).Ok();
        (await SayAsync(admin.PostAsync("/v1/secret-activations/shop/whole", new { version = 2 }))).Ok();
        (await SayAsync(admin.PostAsync("/v1/config/shop/dev/rollback", new { to = 3 }))).Ok();
        (await SayAsync(admin.DeleteAsync("/v1/secrets/shop/json"))).ShouldBe(409);
        (await SayAsync(admin.DeleteAsync("/v1/secrets/shop/json?force=true"))).ShouldBe(204);
        (await SayAsync(reader.ConfigAsync("shop/dev"))).ShouldBe(422);
        (await SayAsync(admin.PostAsync("/v1/secret-restores/shop/json"))).Ok();
        // A damaged row is a defect that is logged.
        await server.ExecuteAsync("UPDATE secret_versions SET ciphertext = wrapped_key WHERE id = 'shop/json'");
        await server.RestartAsync();
        await SayAsync(server.Admin.GetAsync("/v1/secrets/shop/json", seal));
        await SayAsync(server.Admin.GetAsync("/readyz"));

        await AddRecordsAsync(server, seen);
        Check(server, seen);
        await server.StopAsync();
        Check(server, seen);
    }

    private static TestRepository Repository()
    {
        var repository = new TestRepository();
        repository.Commit(
            ("shop.yml", "whole: ${secret:shop/whole}\nfield: ${secret:shop/json#password}\nnumber: ${secret:shop/json#pin}\nurl: pg://${field}:${number}@db/${whole}\n"),
            ("clash.yml", "a.b: ${secret:shop/whole}\na_b: ${secret:shop/json}\na: ${secret:shop/json#password}\n"),
            ("bad.yml", "missing: ${secret:shop/json#nothing}\nfine: ${secret:shop/whole}\n"),
            ("cycle.yml", "a: ${secret:shop/whole}-${b}\nb: ${a}\n"));
        return repository;
    }

    private static async Task AddRecordsAsync(TestServer server, List<(string What, string Text)> seen)
    {
        seen.AddRange((await server.QueryAsync("SELECT entry FROM audit")).Select(e => ("audit", e)));
        seen.AddRange((await server.QueryAsync("SELECT message FROM journal WHERE message IS NOT NULL")).Select(e => ("journal", e)));
    }

    private static void Check(TestServer server, List<(string What, string Text)> seen)
    {
        server.Logs.Lines.Count.ShouldBeGreaterThan(50);
        foreach (var (what, text) in seen.Concat(server.Logs.Lines.Select(l => ("log", l))))
            foreach (var canary in s_canaries) text.Contains(canary, StringComparison.OrdinalIgnoreCase).ShouldBeFalse($"{what}: {text}");
        var files = Directory.GetFiles(server.Data.Path, "*", SearchOption.AllDirectories);
        files.ShouldContain(f => f.EndsWith(".db", StringComparison.Ordinal) || f.EndsWith(".sqlite", StringComparison.Ordinal));
        foreach (var file in files.Where(f => Path.GetExtension(f) != ".lock"))
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            foreach (var canary in s_canaries) bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes(canary)).ShouldBe(-1, file);
        }
    }

    private static IEnumerable<(string Method, string Path, string? Body)> Mistakes()
    {
        yield return ("PUT", "/v1/secrets/shop/whole", "{\"value\":\"" + Whole + "\"");
        yield return ("PUT", "/v1/secrets/shop/whole", Whole);
        yield return ("PUT", "/v1/secrets/shop/whole", $"[\"{Whole}\"]");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":[\"{Whole}\"]}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":{Number}}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\",\"cas\":\"{Whole}\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\",\"cas\":99}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\",\"value\":\"{Whole}\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\",\"secret\":\"{Whole}\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":{{\"a\":\"{Whole}\",\"a\":\"{Field}\"}}}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\\u00\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":\"{Whole}\\ud800\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", "{\"value\":\"" + Whole + new string('x', 70_000) + "\"}");
        yield return ("PUT", "/v1/secrets/shop/whole", "{\"value\":\"" + Whole + new string('x', 1_100_000) + "\"}");
        yield return ("PUT", "/v1/secrets/no/such", $"{{\"value\":\"{Whole}\"}}");
        yield return ("POST", "/v1/secrets", $"{{\"id\":\"shop/whole\",\"value\":\"{Whole}\"}}");
        yield return ("POST", "/v1/secrets", $"{{\"id\":7,\"value\":\"{Whole}\"}}");
        yield return ("POST", "/v1/secrets", $"{{\"value\":\"{Whole}\"}}");
        yield return ("POST", "/v1/secrets", $"{{\"id\":\"new/one\",\"value\":\"{Whole}\"}} {Whole}");
        // A used field is gone in this one: 409.
        yield return ("PUT", "/v1/secrets/shop/json", $"{{\"value\":{{\"other\":\"{Whole}\"}}}}");
        yield return ("PUT", "/v1/secrets/shop/json", $"{{\"value\":\"{Whole}\"}}");
        yield return ("PUT", "/v1/secrets/shop/whole", $"{{\"value\":{{\"a\":\"{Whole}\\ud800\"}}}}");
        yield return ("POST", "/v1/secrets", $"{{\"id\":\"{Whole}\\ud800\",\"value\":\"x\"}}");
        yield return ("POST", "/v1/secrets", $"{{\"id\":\"not valid {Whole}\",\"value\":\"x\"}}");
    }
}
