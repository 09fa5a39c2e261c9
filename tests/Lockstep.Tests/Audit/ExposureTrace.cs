using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Tests.Support;

namespace Lockstep.Tests.Audit;

/// <summary>Random reads, pushes, denials and writes by several tokens, and a model of who was given what by them.</summary>
internal sealed class ExposureTrace(TestServer server, ManualTime time, Random random)
{
    private readonly List<(string Token, DateTimeOffset At, string Secret, int Version, string? Instance, string Route)> _given = [];
    private readonly Dictionary<string, int> _versions = [];
    private readonly Dictionary<(string Token, string Document), string> _etags = [];
    private readonly List<(TestCaller Caller, TestWatcher Watcher, string Document, string Instance)> _watchers = [];

    public List<TestCaller> Tokens { get; } = [];

    public DateTimeOffset Middle { get; private set; }

    private TestCaller Whole => Tokens[0];

    private TestCaller Narrow => Tokens[1];

    private TestCaller Viewer => Tokens[2];

    private TestCaller Sealer => Tokens[3];

    public async Task StartAsync()
    {
        for (var i = 1; i <= 3; i++)
        {
            (await server.PutAsync($"s/{i}", $"value {i}-1")).Ok();
            _versions[$"s/{i}"] = 1;
        }
        Tokens.AddRange([await server.AsAsync("reader"), await server.AsAsync("reader", t => t with { Secrets = ["s/1"] }), await server.AsAsync("viewer"), await server.AsAsync("admin")]);
        foreach (var (caller, document, instance) in new[] { (Whole, "a/dev", "w0"), (Whole, "b/dev", "w1"), (Narrow, "a/dev", "w2"), (Viewer, "a/dev", "w3") })
        {
            var watcher = await TestWatcher.ConnectAsync(server, caller.Token, instance);
            time.Advance(TimeSpan.FromSeconds(1));
            await watcher.SubscribeAsync(1, document);
            foreach (var secret in Visible(caller, document)) Give(caller, secret, _versions[secret], instance, "GET /v1/watch");
            _watchers.Add((caller, watcher, document, instance));
        }
    }

    public async Task StepAsync()
    {
        time.Advance(TimeSpan.FromSeconds(1));
        if (random.Next(75) == 0 || Middle == default) Middle = time.GetUtcNow();
        switch (random.Next(8))
        {
            case 0: await WriteAsync(); break;
            case 1: await DenyAsync(); break;
            case 2 or 3: await SealAsync(); break;
            default: await ReadAsync(); break;
        }
    }

    public async Task StopAsync()
    {
        foreach (var (_, watcher, _, _) in _watchers) await watcher.DisposeAsync();
    }

    public List<ExposedSecret> Expected(string[] tokens, DateTimeOffset? since) =>
    [
        .. _given.Where(g => tokens.Contains(g.Token) && (since is null || g.At >= since)).GroupBy(g => (g.Secret, g.Version))
            .OrderBy(g => g.Key.Secret, StringComparer.Ordinal).ThenBy(g => g.Key.Version).Select(g => new ExposedSecret
            {
                Secret = g.Key.Secret,
                Version = g.Key.Version,
                First = g.Min(e => e.At),
                Last = g.Max(e => e.At),
                Count = g.Count(),
                Instances = [.. g.Select(e => e.Instance).OfType<string>().Distinct().Order(StringComparer.Ordinal)],
                Routes = [.. g.Select(e => e.Route).Distinct().Order(StringComparer.Ordinal)],
                Addresses = ["127.0.0.1"],
            }),
    ];

    private async Task ReadAsync()
    {
        var caller = Tokens[random.Next(Tokens.Count)];
        var document = new[] { "a/dev", "b/dev", "plain/dev", "a/prod" }[random.Next(4)];
        var instance = random.Next(3) == 0 ? null : $"i{random.Next(4)}";
        List<(string, string)> headers = instance is null ? [] : [("Lockstep-Instance", instance)];
        if (random.Next(2) == 0 && _etags.TryGetValue((caller.TokenId, document), out var etag)) headers.Add(("If-None-Match", etag));
        var answer = await caller.GetAsync("/v1/config/" + document, [.. headers]);
        if (answer.Status == 304) return;
        _etags[(caller.TokenId, document)] = answer.Ok().ETag;
        foreach (var secret in Visible(caller, document)) Give(caller, secret, _versions[secret], instance, "GET /v1/config");
    }

    private async Task SealAsync()
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        var secret = $"s/{random.Next(1, 4)}";
        var version = random.Next(1, _versions[secret] + 2);
        var wants = random.Next(4) > 0;
        var answer = await Sealer.GetAsync($"/v1/secrets/{secret}?version={version}", wants ? [("Lockstep-Seal-To", Jwe.ExportPublicKey(key))] : []);
        if (answer.Status == 200 && wants) Give(Sealer, secret, version, null, "GET /v1/secrets");
        else if (answer.Status != 200 && version <= _versions[secret]) answer.Ok();
    }

    private async Task DenyAsync()
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        (await Tokens[random.Next(3)].GetAsync("/v1/secrets/s/1", ("Lockstep-Seal-To", Jwe.ExportPublicKey(key)))).ShouldBe(403);
        (await Narrow.ConfigAsync("nothing/dev")).ShouldBe(404);
    }

    // Whoever watches a document with the secret in it, and may see that, is given it.
    private async Task WriteAsync()
    {
        var secret = $"s/{random.Next(1, 4)}";
        var writer = random.Next(2) == 0 ? server.Admin : Sealer;
        (await writer.PutAsync("/v1/secrets/" + secret, new { value = $"value {secret} {_versions[secret] + 1}" })).Ok();
        _versions[secret]++;
        foreach (var (caller, watcher, document, instance) in _watchers)
        {
            if (!Visible(caller, document).Contains(secret)) continue;
            var frame = await watcher.NextAsync();
            if (frame.GetProperty("op").GetString() != "change") throw new InvalidOperationException(frame.ToString());
            Give(caller, secret, _versions[secret], instance, "GET /v1/watch");
        }
    }

    private string[] Visible(TestCaller caller, string document)
    {
        if (caller == Viewer) return [];
        string[] all = document[0] switch { 'a' => ["s/1", "s/2"], 'b' => ["s/2", "s/3"], _ => [] };
        return caller == Narrow ? [.. all.Where(s => s == "s/1")] : all;
    }

    private void Give(TestCaller caller, string secret, int version, string? instance, string route) => _given.Add((caller.TokenId, time.GetUtcNow(), secret, version, instance, route));
}
