using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

/// <summary>
/// Random changes, one at a time; after each, the watchers whose visible document changed by a plain read have one frame that leads to what that read says,
/// and the others have none. Now and then one of them comes back with what it holds.
/// </summary>
public sealed class L6_Exact_to_watchers
{
    private static readonly string[] s_documents = ["a/dev", "a/prod", "b/dev", "b/dev,prod", "c/prod"];
    private static readonly string[] s_files = ["application.yml", "application-dev.yml", "a.yml", "b.yml", "b-prod.yml", "c-prod.properties", "unrelated.txt", "new/c.yml"];
    private static readonly string[] s_secrets = ["one", "two", "dir/three"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("speed", "medium")]
    public Task A_change_reaches_the_watchers_of_what_changed_and_no_others(int seed) => RunAsync(seed, 60);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [Trait("speed", "long")]
    public Task A_change_reaches_the_watchers_of_what_changed_and_no_others_at_length(int seed) => RunAsync(seed, 1000);

    private static async Task RunAsync(int seed, int operations)
    {
        var random = new Random(seed);
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"), ("c.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var secret in s_secrets) (await server.PutAsync(secret, "first")).Ok();
        TestCaller[] callers =
        [
            await server.AsAsync("reader"), await server.AsAsync("viewer"),
            await server.AsAsync("reader", t => t with { Secrets = ["one"] }), await server.AsAsync("reader"),
        ];
        var watchers = new List<Seat>();
        foreach (var caller in callers)
            foreach (var document in s_documents) watchers.Add(await Seat.TakeAsync(server, caller, document));
        var reached = 0;
        for (var n = 0; n < operations; n++)
        {
            var what = await ChangeAsync(random, repository, server);
            foreach (var watcher in watchers) reached += await watcher.CheckAsync($"seed {seed}, operation {n}: {what}") ? 1 : 0;
            if (random.Next(3) == 0) await watchers[random.Next(watchers.Count)].ReconnectAsync();
        }
        // That it was about something.
        reached.ShouldBeGreaterThan(operations);
        foreach (var watcher in watchers) await watcher.Watcher.DisposeAsync();
    }

    private static async Task<string> ChangeAsync(Random random, TestRepository repository, TestServer server)
    {
        switch (random.Next(10))
        {
            case < 6:
                var path = s_files[random.Next(s_files.Length)];
                if (random.Next(5) == 0 && path.Contains("application", StringComparison.Ordinal) && File.Exists(Path.Combine(repository.Path, path))) repository.Delete(path);
                else repository.Commit((path, Text(random, path)));
                await server.RefreshAsync();
                return path;
            case < 9:
                var secret = s_secrets[random.Next(s_secrets.Length)];
                (await server.PutValueAsync(secret, $"value {random.Next(3)}")).Status.ShouldBeOneOf(200, 409);
                return secret;
            default:
                var document = s_documents[random.Next(2)];
                if ((await server.Admin.DeleteAsync($"/v1/config/{document}/pin?force=true")).Status == 404)
                    (await server.Admin.PostAsync($"/v1/config/{document}/rollback", new { to = Math.Max(4, server.Release - random.Next(5)) })).Status.ShouldBeOneOf(200, 409);
                return "pin";
        }
    }

    private static string Text(Random random, string path)
    {
        if (random.Next(12) == 0) return path.EndsWith(".yml", StringComparison.Ordinal) ? "broken: [\n" : "k=${secret:missing}\n";
        var separator = path.EndsWith(".yml", StringComparison.Ordinal) ? ": " : "=";
        var lines = Enumerable.Range(0, random.Next(1, 4)).Select(_ => random.Next(3) switch
        {
            0 => ($"s{random.Next(3)}", $"${{secret:{s_secrets[random.Next(s_secrets.Length)]}}}"),
            1 => ($"p{random.Next(3)}", "${x}-${s0:none}"),
            _ => ($"k{random.Next(3)}", random.Next(4).ToString(System.Globalization.CultureInfo.InvariantCulture)),
        });
        return string.Concat(lines.DistinctBy(l => l.Item1).Select(l => $"{l.Item1}{separator}{l.Item2}\n")) + $"x{separator}{random.Next(2)}\n";
    }

    /// <summary>One watcher of one document, and what it holds.</summary>
    private sealed class Seat(TestServer server, TestCaller caller, string document)
    {
        public TestWatcher Watcher { get; private set; } = null!;

        private string? _stale;

        public static async Task<Seat> TakeAsync(TestServer server, TestCaller caller, string document)
        {
            var seat = new Seat(server, caller, document) { Watcher = await TestWatcher.ConnectAsync(server, caller.Token) };
            await seat.Watcher.SubscribeAsync(1, document);
            return seat;
        }

        /// <summary>Whether it was sent a change, which it must have been just when a read says so.</summary>
        public async Task<bool> CheckAsync(string what)
        {
            var read = (await caller.ConfigAsync(document)).Ok();
            var held = Watcher.Held[1];
            var changed = read.ETag != held.ETag;
            if (changed)
            {
                var frame = await Watcher.NextAsync();
                frame.GetProperty("op").GetString().ShouldBe("change", what);
                Watcher.Held[1].ETag.ShouldBe(read.ETag, what);
                Watcher.Held[1].Values.ShouldBe(read.SortedValues, what);
                Watcher.Held[1].Lists.ShouldBe(read.Json.GetProperty("secrets").GetRawText() + read.Json.GetProperty("withheld").GetRawText(), what);
            }
            var stale = read.Json.GetProperty("stale") is { ValueKind: System.Text.Json.JsonValueKind.Object } s ? s.GetProperty("reason").GetString() : null;
            if (stale != _stale) (await Watcher.NextAsync()).GetProperty("op").GetString().ShouldBe("stale", what);
            _stale = stale;
            (await Watcher.IsQuietAsync()).ShouldBeTrue(what);
            return changed;
        }

        public async Task ReconnectAsync()
        {
            var held = Watcher.Held[1];
            await Watcher.DisposeAsync();
            Watcher = await TestWatcher.ConnectAsync(server, caller.Token);
            Watcher.Held[1] = held;
            (await Watcher.SubscribeAsync(1, document)).GetProperty("op").GetString().ShouldBe("current");
            if (_stale is not null) (await Watcher.NextAsync()).GetProperty("op").GetString().ShouldBe("stale");
        }
    }
}
