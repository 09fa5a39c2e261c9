using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Gate;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

/// <summary>
/// Random changes through the lane; after each, every known document is as a fresh evaluator finds it that resolves from nothing, and those that are said
/// to have changed are exactly those whose ETag did.
/// </summary>
public sealed class L6_Exact
{
    private static readonly string[] s_services = ["a", "b", "c"];
    private static readonly string[] s_environments = ["dev", "prod", "dev,prod", "prod,dev"];
    private static readonly string?[] s_labels = [null, null, null, "side", "v1"];
    private static readonly string[] s_stems = ["application", "a", "b", "c", "application-dev", "application-prod", "a-dev", "b-prod", "c-dev"];
    private static readonly string[] s_extensions = [".yml", ".yaml", ".properties", ".json"];
    private static readonly string[] s_directories = ["", "", "shared/", "teams/one/", "teams/two/", "services/a/", "services/b/", "dev/", "prod/", "deep/x/y/", "elsewhere/"];
    private static readonly string[] s_secrets = ["one", "two", "dir/three"];
    private static readonly CallContext s_call = CallContext.System("test");

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [Trait("speed", "medium")]
    public Task A_change_reaches_exactly_the_documents_that_it_changes(int seed) => RunAsync(seed, 120);

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    [InlineData(13)]
    [InlineData(14)]
    [Trait("speed", "long")]
    public Task A_change_reaches_exactly_the_documents_that_it_changes_at_length(int seed) => RunAsync(seed, 1000);

    private static async Task RunAsync(int seed, int operations)
    {
        var random = new Random(seed);
        // The embedded repository: commits are written by the server itself, without a working tree.
        await using var server = TestServer.Create("", o => o with
        {
            Config = o.Config with { Url = null, SearchPaths = ["shared", "teams/*", "services/{application}", "{profile}", "deep/**"] },
        });
        await server.StartAsync();
        await server.Server.Repository.CommitAsync("main", null, Files(("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"), ("c.yml", "x: 1\n")), "t", "first", CancellationToken.None);
        await server.Gate.RefreshAsync(s_call, CancellationToken.None);
        await server.Gate.ReadConfigAsync(s_call, new DocumentKey("a", "dev"), null, null, CancellationToken.None);
        var reached = 0;
        var written = new HashSet<string>(StringComparer.Ordinal);
        var done = new Dictionary<string, int>(StringComparer.Ordinal);
        for (var n = 0; n < operations; n++)
        {
            await KnowSomeAsync(server, random);
            var before = server.Gate.Lane.Live;
            var (what, outcome) = n % 25 > 20 ? await HealAsync(server, written, n % 25 - 21) : await ChangeAsync(server, random, written);
            done[what] = done.GetValueOrDefault(what) + 1;
            var live = server.Gate.Lane.Live;
            var context = $"seed {seed}, operation {n}: {what}";
            var reported = outcome is null ? [] : outcome.Changes.Select(c => c.Key).ToHashSet();
            var differing = live.Documents.Where(d => Look(before.Documents[d.Key]) != Look(d.Value)).Select(d => d.Key).ToHashSet();
            reported.Order(s_order).ShouldBe(differing.Order(s_order), context);
            reached += reported.Count;
            await CompareAsync(server, live, context);
        }
        reached.ShouldBeGreaterThan(operations / 4);
        done.Count.ShouldBeGreaterThan(8, string.Join(' ', done));
    }

    private static readonly Comparer<DocumentKey> s_order = Comparer<DocumentKey>.Create((a, b) => string.CompareOrdinal(a.ToString(), b.ToString()));

    // The whole document's ETag while it is valid, null while it is not.
    private static string? Look(DocumentState state) => state.Resolution.IsValid ? state.Current!.Full.ETag : null;

    private static async Task CompareAsync(TestServer server, LiveState live, string context)
    {
        using var sources = new SourceLoader(server.Server.Repository.Reader);
        var gate = server.Gate;
        var resolver = new ReleaseResolver(
            new DocumentResolver(sources, new SecretReader(gate.Mounts, TimeProvider.System)), new ReleaseStore(server.Database), server.Server.Repository.Reader);
        var key = new byte[32];
        var here = new DocumentRenderer(key);
        var evaluator = new ReleaseEvaluator(resolver, sources, here.Render);
        foreach (var (name, state) in live.Documents)
        {
            var fresh = await evaluator.ResolveAsync(name, live.Release, live.Release, CancellationToken.None);
            fresh.IsValid.ShouldBe(state.Resolution.IsValid, $"{context}: {name}");
            if (!fresh.IsValid) continue;
            var expected = Encoding.UTF8.GetString(here.Render(fresh, []).Body.Span);
            Encoding.UTF8.GetString(state.Current!.Full.Body.Span).ShouldBe(expected, $"{context}: {name}");
            fresh.Pinned.ShouldBe(state.Resolution.Pinned, $"{context}: {name}");
            ReleaseResolver.CommitFor(state.Resolution, live.Release).ShouldBe(fresh.Commit, $"{context}: {name}");
            state.Current.Full.Discloses.ShouldBe(here.Render(fresh, []).Discloses, $"{context}: {name}");
            state.Invalid.ShouldBeNull();
        }
    }

    private static async Task KnowSomeAsync(TestServer server, Random random)
    {
        var key = new DocumentKey(Pick(random, s_services), Pick(random, s_environments), Pick(random, s_labels));
        try
        {
            await server.Gate.ReadConfigAsync(s_call, key, null, null, CancellationToken.None);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound || e.Code == ErrorCode.InvalidConfig)
        {
        }
    }

    private static async Task<(string What, ReleaseOutcome? Outcome)> ChangeAsync(TestServer server, Random random, HashSet<string> written)
    {
        var secret = SecretId.Parse(Pick(random, s_secrets));
        var (gate, none) = (server.Gate, CancellationToken.None);
        try
        {
            switch (random.Next(20))
            {
                case 0 or 1:
                    return await SecretAsync("put", () => gate.PutSecretAsync(s_call, new SecretWrite(secret, Value(random), "t", Staged: random.Next(4) == 0), random.Next(2) == 0 ? 0 : null, random.Next(2) == 0, none));
                case 2:
                    return await SecretAsync("activate", () => gate.ActivateSecretAsync(s_call, secret, random.Next(1, 5), random.Next(2) == 0, none));
                case 3:
                    return await SecretAsync("delete", () => gate.DeleteSecretAsync(s_call, secret, purge: random.Next(4) == 0, force: random.Next(3) != 0, none));
                case 4 or 5:
                    return await SecretAsync("restore", () => gate.RestoreSecretAsync(s_call, secret, none));
                case 6:
                    // One that is known: a rollback makes a document known, and that is no change.
                    var pin = Pick(random, [.. gate.Lane.Live.Documents.Keys.Where(k => k.Label is null).Order(s_order)]);
                    return ("pin", await gate.RollbackAsync(s_call, pin, random.NextInt64(1, server.Release + 1), none));
                case 7 or 8:
                    var unpin = gate.Lane.Live.Release.Pins.Keys.FirstOrDefault();
                    return ("unpin", unpin == default ? null : await gate.UnpinAsync(s_call, new DocumentKey(unpin.Service, unpin.Environment), force: true, none));
                case 9:
                    return ("move refs", await MoveAsync(server, random));
                default:
                    var branch = random.Next(5) == 0 && gate.Lane.Live.Release.CommitOf("side") is not null ? "side" : "main";
                    var files = RandomFiles(random);
                    written.UnionWith(files.Keys);
                    await server.Server.Repository.CommitAsync(branch, gate.Lane.Live.Release.CommitOf(branch), files, "t", "change", none);
                    return ("commit", await gate.RefreshAsync(s_call, none));
            }
        }
        catch (LockstepException e) when (e.Code != ErrorCode.Internal && e.Code != ErrorCode.Unavailable)
        {
            return ("refused " + e.Code, null);
        }

        Task<(string, ReleaseOutcome?)> SecretAsync(string what, Func<Task> change) => L6_Exact.SecretAsync(server, what, change);
    }

    // What is broken does not change any more, so now and then the files start over, and the secrets are there with the field that is used.
    private static async Task<(string What, ReleaseOutcome? Outcome)> HealAsync(TestServer server, HashSet<string> written, int part)
    {
        var (gate, none) = (server.Gate, CancellationToken.None);
        if (part > 0)
        {
            var write = new SecretWrite(SecretId.Parse(s_secrets[part - 1]), new SecretValue("""{"f":"v"}"""), "t", Staged: false);
            var exists = await server.Database.ReadAsync(s => SecretCatalog.Exists(s, write.Id), none);
            return await SecretAsync(server, "heal a secret", () => gate.PutSecretAsync(s_call, write, exists ? null : 0, force: true, none));
        }
        var files = written.Where(p => !s_services.Contains(p.Replace(".yml", "", StringComparison.Ordinal))).ToDictionary(p => p, _ => (byte[]?)null, StringComparer.Ordinal);
        foreach (var service in s_services) files[service + ".yml"] = Encoding.UTF8.GetBytes("x: ${secret:one}\ny: 1\n");
        await server.Server.Repository.CommitAsync("main", gate.Lane.Live.Release.CommitOf("main"), files, "t", "heal", none);
        return ("heal", await gate.RefreshAsync(s_call, none));
    }

    // What a secret's change reached stands in the history alone.
    private static async Task<(string, ReleaseOutcome?)> SecretAsync(TestServer server, string what, Func<Task> change)
    {
        var release = server.Release;
        await change();
        if (server.Release == release) return (what + " without a release", null);
        var record = (await server.Gate.History.AllAsync(server.Release + 1, 1, _ => true, int.MaxValue, CancellationToken.None)).Single();
        return (what, new ReleaseOutcome(server.Gate.Lane.Live.Release, [.. record.Changes.Documents]));
    }

    // Branches and tags made, moved, forced back and deleted in one step.
    private static Task<ReleaseOutcome> MoveAsync(TestServer server, Random random)
    {
        var directory = server.Server.Repository.Directory;
        var commits = TestRepository.Run(directory, [], "log", "--all", "-n", "20", "--format=%H").Split('\n');
        foreach (var name in new[] { "refs/heads/side", "refs/tags/v1", "refs/heads/main" })
        {
            if (random.Next(2) == 0) continue;
            if (random.Next(4) == 0 && name != "refs/heads/main") TestRepository.Run(directory, [], "update-ref", "-d", name);
            else TestRepository.Run(directory, [], "update-ref", name, Pick(random, commits));
        }
        return server.Gate.RefreshAsync(s_call, CancellationToken.None);
    }

    private static Dictionary<string, byte[]?> RandomFiles(Random random)
    {
        var files = new Dictionary<string, byte[]?>(StringComparer.Ordinal);
        for (var count = random.Next(1, 4); count > 0; count--)
        {
            var extension = Pick(random, s_extensions);
            var path = random.Next(10) == 0 ? "README.md" : Pick(random, s_directories) + Pick(random, s_stems) + extension;
            files[path] = random.Next(5) == 0 && path is not "a.yml" ? null : Encoding.UTF8.GetBytes(Text(random, extension));
        }
        return files;
    }

    private static string Text(Random random, string extension)
    {
        var entries = Enumerable.Range(0, random.Next(1, 4)).Select(_ => (Key: "xyzw"[random.Next(4)], Value: random.Next(8) switch
        {
            0 => "${secret:" + Pick(random, s_secrets) + "}",
            1 => "p-${secret:" + Pick(random, s_secrets) + "#f}",
            2 => "${" + "xyzw"[random.Next(4)] + ":none}",
            _ => random.Next(4).ToString(System.Globalization.CultureInfo.InvariantCulture),
        })).DistinctBy(e => e.Key).ToList();
        if (random.Next(60) == 0) return random.Next(2) == 0 ? "x: [broken\n{" : "x: 1\nx: 2\n";
        return extension switch
        {
            ".json" => "{" + string.Join(',', entries.Select(e => $"\"{e.Key}\":\"{e.Value}\"")) + "}",
            ".properties" => string.Concat(entries.Select(e => $"{e.Key}={e.Value}\n")),
            _ => string.Concat(entries.Select(e => $"{e.Key}: \"{e.Value}\"\n"))
                + (random.Next(4) == 0 ? $"---\nspring.config.activate.on-profile: {(random.Next(2) == 0 ? "dev" : "!dev & prod")}\nq: {random.Next(3)}\n" : ""),
        };
    }

    private static SecretValue Value(Random random) => new(random.Next(5) == 0 ? "plain" : $$"""{"f":"v{{random.Next(3)}}"}""");

    private static Dictionary<string, byte[]?> Files(params (string Path, string Text)[] files) =>
        files.ToDictionary(f => f.Path, f => (byte[]?)Encoding.UTF8.GetBytes(f.Text), StringComparer.Ordinal);

    private static T Pick<T>(Random random, T[] items) => items[random.Next(items.Length)];
}
