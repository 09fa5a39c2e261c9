using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Cli;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Gate;

/// <summary>
/// Marked values go in by every way there is; then everything that comes out is searched for each of them, in every form. Only the answers whose job it is to
/// show a value, and the file of the master key, may hold one.
/// </summary>
[Trait("speed", "medium")]
public sealed class L3_Marked_values : IDisposable
{
    private const string Value = "Wq8Tz3Nk6Yb1Lm4RwholeA";
    private const string Field = "Vf2Hc9Xs7Pd5Gj0TfieldB";
    private const string Refused = "Zu6Rk1Mw8Qe3Bn9CwrongC";
    private const string Hook = "Ja4Yt7Kp2Xd8Ws5HhooksD";
    private const string Password = "Ne9Fb3Lq6Vz1Cg7UdatabE";

    private readonly TempDirectory _files = new();
    private readonly List<Canary> _canaries = [.. new[] { Value, Field, Refused, Hook, Password }.Select(v => new Canary(v))];
    private readonly List<(string What, byte[] Bytes)> _seen = [];
    private readonly ActivityListener _spans = new() { ShouldListenTo = _ => true, Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded };
    private readonly MeterListener _measures = new();

    public L3_Marked_values()
    {
        _spans.ActivityStopped = span =>
        {
            var tags = span.TagObjects.Concat(span.Events.SelectMany(e => e.Tags)).Select(t => $"{t.Key}={t.Value}");
            See("span", $"{span.DisplayName} {span.StatusDescription} {string.Join(' ', tags)} {string.Join(' ', span.Baggage)}");
        };
        ActivitySource.AddActivityListener(_spans);
        _measures.InstrumentPublished = (instrument, listener) => listener.EnableMeasurementEvents(instrument);
        _measures.SetMeasurementEventCallback<long>((instrument, _, tags, _) => See("measure", instrument.Name + string.Join(' ', tags.ToArray())));
        _measures.SetMeasurementEventCallback<double>((instrument, _, tags, _) => See("measure", instrument.Name + string.Join(' ', tags.ToArray())));
        _measures.Start();
    }

    public void Dispose()
    {
        _spans.Dispose();
        _measures.Dispose();
        _files.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Are_nowhere_but_where_they_were_asked_for(bool postgres)
    {
        if (postgres && PostgresServer.Missing is not null) return;
        await File.WriteAllTextAsync(_files.File("hook"), Hook);
        File.SetUnixFileMode(_files.File("hook"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using var repository = new TestRepository();
        repository.Commit(
            ("shop.yml", "whole: ${secret:shop/whole}\nfield: ${secret:shop/json#password}\nurl: pg://${field}@db/${whole}\n"), ("bad.yml", "a: ${secret:shop/whole}\nb: ${secret:shop/json#none}\n"));
        await using var issuer = await TestIssuer.StartAsync();
        // The server of the tests asks for no password, and is told one all the same.
        var database = postgres ? (await PostgresServer.CreateDatabaseAsync()).Replace("@", $":{Password}@", StringComparison.Ordinal) : null;
        await using var server = await TestServer.StartAsync(repository, o => o with
        {
            Issuers = [issuer.Options(new IssuerRoleOptions("sub", "somebody", "viewer"))],
            Config = o.Config with { WebhookSecretFile = _files.File("hook") },
        }, database: database);
        Mark(server, issuer, out var jwt);
        (await SeeAsync(server.PutAsync("shop/whole", Value))).Ok();
        (await SeeAsync(server.Admin.PostAsync("/v1/secrets", new { id = "shop/json", value = new { password = Field, n = 1 } }))).Ok();

        await UseAsync(server, jwt);
        await EveryRouteAsync(server, jwt);
        await CommandLineAsync(server);
        SeeProcesses();
        await FailuresAsync(server);
        foreach (var path in new[] { "/metrics", "/readyz" }) See(path, (await server.Nobody.GetAsync(path)).Text);
        foreach (var table in new[] { "audit", "journal", "tokens", "roles", "meta", "secrets", "secret_versions", "documents", "document_changes" })
            foreach (var row in await RowsAsync(server, table)) See(table, row);
        Check(server);
        await server.StopAsync();
        Check(server);
    }

    // What is made by the server, and may be shown once or never.
    private void Mark(TestServer server, TestIssuer issuer, out string jwt)
    {
        jwt = issuer.Token(TimeProvider.System.GetUtcNow());
        _canaries.Add(new Canary(jwt.Split('.')[2]));
        _canaries.Add(new Canary(server.Admin.Token![17..60]));
        _canaries.Add(Canary.Of("the master key", Convert.FromBase64String(File.ReadAllText(Path.Combine(server.Options.Data, "master.key")).Trim())));
    }

    // Each way that a value is asked for: those answers are not looked at.
    private async Task UseAsync(TestServer server, string jwt)
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var reader = await server.AsAsync("reader");
        _canaries.Add(new Canary(reader.Token![17..60]));
        foreach (var path in new[] { "/v1/config/shop/dev", "/v1/config/shop/dev?format=dotenv", "/spring/shop/dev", "/spring/shop-dev.yml" }) (await reader.GetAsync(path)).Ok().Text.ShouldContain(Value);
        See("sealed", (await server.Admin.GetAsync("/v1/secrets/shop/whole", ("Lockstep-Seal-To", Jwe.ExportPublicKey(key)))).Ok().Text);
        (await SeeAsync(new TestCaller(server, jwt).ConfigAsync("shop/dev"))).Ok().Withheld.Length.ShouldBe(3);
        await using (var watcher = await TestWatcher.ConnectAsync(server, reader.Token))
        {
            await watcher.SubscribeAsync(1, "shop/dev");
            (await SeeAsync(server.PutValueAsync("shop/whole", Value + "next"))).Ok();
            await watcher.UntilAsync(w => w.Held[1]["whole"] == Value + "next");
            await watcher.SendAsync(new { op = "failed", id = 1, release = server.Release, etag = "x", reason = "can't connect" });
            await watcher.SendTextAsync($$"""{"op":"hello","token":"{{reader.Token}}","unknown":"{{Refused}}"}""");
            See("frame", (await watcher.NextAsync()).GetRawText());
        }
        foreach (var header in new[] { ("X-Gitlab-Token", Hook), ("X-Gitlab-Token", Refused), ("X-Hub-Signature-256", "sha256=" + Refused) })
            await SeeAsync(server.Nobody.SendAsync("POST", "/v1/hooks/git", "{}", header));
    }

    private async Task EveryRouteAsync(TestServer server, string jwt)
    {
        TestCaller[] callers = [server.Nobody, new(server, jwt), await server.AsAsync("viewer"), await server.AsAsync("writer"), new(server, ServiceToken.Create().Export()), new(server, "lks_" + Refused), new(server, "eyJ." + Refused + ".x")];
        string[] bodies =
        [
            $"{{\"value\":\"{Refused}\"", Refused, $"[\"{Refused}\"]", $"{{\"value\":[\"{Refused}\"]}}", $"{{\"value\":\"{Refused}\",\"cas\":\"{Refused}\"}}", $"{{\"value\":\"{Refused}\",\"value\":\"{Refused}\"}}",
            $"{{\"value\":\"{Refused}\\ud800\"}}", $"{{\"value\":\"{Refused}{new string('x', 70_000)}\"}}", $"{{\"value\":\"{Refused}\",\"cas\":99,\"id\":\"shop/whole\"}}", $"{{\"value\":{{\"a\":\"{Refused}\",\"a\":1}}}}",
        ];
        foreach (var (method, pattern) in await Routes.OfAsync(server))
        {
            // These end tokens that are needed; who may not use them is told so elsewhere.
            if (pattern is "/v1/kill") continue;
            var path = pattern.Replace("{**id}", "shop/whole", StringComparison.Ordinal).Replace("{service}", "shop", StringComparison.Ordinal);
            foreach (var caller in callers)
                foreach (var body in method is "POST" or "PUT" ? bodies : new string?[] { null }) await SeeAsync(caller.SendAsync(method, Routes.Fill(path), body));
            foreach (var body in method is "POST" or "PUT" ? bodies : []) await SeeAsync(server.Admin.SendAsync(method, Routes.Fill(path), body));
        }
    }

    private async Task CommandLineAsync(TestServer server)
    {
        using var program = new LockstepProcess();
        program.Environment["LOCKSTEP_ADDR"] = server.Server.Address;
        program.Environment["LOCKSTEP_TOKEN"] = server.Admin.Token;
        foreach (var arguments in new[]
        {
            "secret list --json", "secret versions shop/whole --json", "audit tail --json", "config history -s shop -e dev --json", "token list --json", "whoami --json", "doctor --json", "config get -s bad -e dev --json",
            "secret set shop/whole --cas 99 --json", "secret set none/such --json", "secret set --json",
        })
        {
            var ended = await program.RunWithInputAsync(Refused, arguments.Split(' '));
            See("lockstep " + arguments, ended.Output + ended.Error);
        }
        foreach (var file in Directory.EnumerateFiles(program.Directory, "*", SearchOption.AllDirectories)) See(file, await File.ReadAllTextAsync(file));
    }

    // What others can read of the processes that this one has started, git's among them.
    private void SeeProcesses()
    {
        if (!Directory.Exists("/proc/self")) return;
        foreach (var process in Directory.EnumerateDirectories("/proc").Where(d => int.TryParse(Path.GetFileName(d), out _)))
        {
            try
            {
                var status = File.ReadAllText(process + "/stat");
                if (status[(status.LastIndexOf(')') + 4)..].Split(' ')[0] != Environment.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture)) continue;
                foreach (var name in new[] { "cmdline", "environ" }) _seen.Add(($"{process}/{name}", File.ReadAllBytes($"{process}/{name}")));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended, or is another user's.
            }
        }
    }

    private async Task FailuresAsync(TestServer server)
    {
        await server.ExecuteAsync("ALTER TABLE audit RENAME TO elsewhere");
        await SeeAsync(server.Admin.PutAsync("/v1/secrets/shop/whole", new { value = Refused }));
        (await SeeAsync((await TokenAsync(server)).ConfigAsync("shop/dev"))).Status.ShouldBeGreaterThanOrEqualTo(400);
        await server.ExecuteAsync("ALTER TABLE elsewhere RENAME TO audit");
        // Damaged, and read anew: a defect that is logged.
        await server.ExecuteAsync("UPDATE secret_versions SET ciphertext = wrapped_key WHERE id = 'shop/json'");
        await server.RestartAsync();
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        await SeeAsync(server.Admin.GetAsync("/v1/secrets/shop/json", ("Lockstep-Seal-To", Jwe.ExportPublicKey(key))));
        await SeeAsync(server.Admin.GetAsync("/v1/secrets/shop/json", ("Lockstep-Seal-To", Refused)));
        await SeeAsync(server.Admin.ConfigAsync("bad/dev"));
    }

    private static Task<TestCaller> TokenAsync(TestServer server) => Task.FromResult(new TestCaller(server, server.Admin.Token));

    private static async Task<List<string>> RowsAsync(TestServer server, string table) => await server.Database.ReadAsync(
        session => session.Query($"SELECT * FROM {table}", row => string.Join('|', Enumerable.Range(0, row.FieldCount).Select(i => row.GetValue(i) is byte[] bytes ? Encoding.Latin1.GetString(bytes) : row.GetValue(i).ToString()))),
        CancellationToken.None);

    private async Task<Answer> SeeAsync(Task<Answer> sending)
    {
        var answer = await sending;
        See("answer", $"{answer.Text}\n{string.Join('\n', answer.Headers.Select(h => h.Key + ": " + string.Join(',', h.Value)))}");
        return answer;
    }

    private void See(string what, string text)
    {
        lock (_seen) _seen.Add((what, Encoding.UTF8.GetBytes(text)));
    }

    private void Check(TestServer server)
    {
        server.Logs.Lines.Count.ShouldBeGreaterThan(50);
        var log = string.Join('\n', server.Logs.Lines);
        File.Move(Path.Combine(server.Options.Data, "master.key"), _files.File("key"));
        foreach (var canary in _canaries)
        {
            lock (_seen)
            {
                foreach (var (what, bytes) in _seen)
                    if (canary.FindIn(bytes) is { } form) throw new ShouldAssertException($"{canary.Mark} as {form} in {what}: {Encoding.UTF8.GetString(bytes)}");
            }
            if (canary.FindIn(log) is { } found) throw new ShouldAssertException($"{canary.Mark} as {found} in the log: {server.Logs.Lines.First(l => canary.FindIn(l) is not null)}");
            canary.FindBelow(server.Data.Path).ShouldBeNull(canary.Mark);
        }
        File.Move(_files.File("key"), Path.Combine(server.Options.Data, "master.key"));
    }
}
