using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

public sealed class L4_Pure
{
    private static readonly string[] s_documents = ["a/dev", "a/prod", "a/dev,prod", "b/dev", "b/prod"];

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [Trait("speed", "medium")]
    public async Task A_document_at_a_release_is_the_same_later_after_a_restart_and_on_another_server(int seed)
    {
        var random = new Random(seed);
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"), ("b.yml", "x: 2\n"), ("application.yml", "s: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var secret in new[] { "one", "two" }) (await server.PutAsync(secret, "v0")).Ok();
        var live = new Dictionary<(string, long), (string Body, string? ETag)>();
        var partial = await server.AsAsync("reader", t => t with { Secrets = ["one"] });
        for (var step = 0; step < 12; step++)
        {
            await StepAsync(server, repository, random);
            foreach (var document in s_documents)
            {
                foreach (var (caller, who) in new[] { (server.Admin, ""), (partial, "partial ") })
                {
                    var answer = await caller.ConfigAsync(document);
                    if (answer.Status == 200 && answer.Json.GetProperty("stale").ToString() == "False") live[(who + document, answer.Release)] = (answer.Text, answer.ETag);
                }
            }
        }
        live.Count.ShouldBeGreaterThan(30);
        await CheckAsync(server, server.Admin, partial, live);
        await server.RestartAsync();
        await CheckAsync(server, server.Admin, partial, live);

        await using var second = await CopyAsync(server);
        await CheckAsync(second, new TestCaller(second, server.Admin.Token), new TestCaller(second, partial.Token), live);
    }

    [Fact]
    public async Task An_etag_follows_the_content_and_the_withheld_set_and_needs_the_key()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: ${secret:one}\ny: ${secret:two}\n"));
        await using var first = await TestServer.StartAsync(repository);
        await using var other = await TestServer.StartAsync(repository);
        foreach (var server in new[] { first, other })
            foreach (var secret in new[] { "one", "two" }) (await server.PutAsync(secret, "v")).Ok();
        var callers = new[] { first.Admin, await first.AsAsync("viewer"), await first.AsAsync("reader", t => t with { Secrets = ["one"] }), await first.AsAsync("reader", t => t with { Secrets = ["two"] }) };
        var etags = new List<string>();
        foreach (var caller in callers) etags.Add((await caller.ConfigAsync("a/dev")).Ok().ETag);
        etags.Distinct().Count().ShouldBe(4);
        etags.ShouldAllBe(e => e.StartsWith("W/\"", StringComparison.Ordinal));

        // The same bytes under another server's key.
        var (here, there) = ((await first.Admin.ConfigAsync("a/dev")).Ok(), (await other.Admin.ConfigAsync("a/dev")).Ok());
        here.Text.ShouldBe(there.Text);
        here.ETag.ShouldNotBe(there.ETag);

        (await first.PutValueAsync("one", "w")).Ok();
        var changed = (await first.Admin.ConfigAsync("a/dev")).Ok();
        changed.ETag.ShouldNotBe(here.ETag);
        // Back to what it was: the same document, the same ETag, though three releases later.
        (await first.PutValueAsync("one", "v")).Ok();
        (await first.Admin.ConfigAsync("a/dev")).Ok().ETag.ShouldBe(here.ETag);
        // A viewer's document does not depend on what it does not show.
        (await callers[1].ConfigAsync("a/dev")).Ok().ETag.ShouldBe(etags[1]);
    }

    private static async Task CheckAsync(TestServer server, TestCaller admin, TestCaller partial, Dictionary<(string Who, long Release), (string Body, string? ETag)> live)
    {
        foreach (var ((who, release), (body, etag)) in live)
        {
            var caller = who.StartsWith("partial ", StringComparison.Ordinal) ? partial : admin;
            var answer = (await caller.ConfigAsync(who.Replace("partial ", "", StringComparison.Ordinal), $"?release={release}")).Ok();
            answer.Text.ShouldBe(body);
            answer.ETag.ShouldBe(etag);
        }
        server.Release.ShouldBeGreaterThanOrEqualTo(live.Max(l => l.Key.Release));
    }

    private static async Task StepAsync(TestServer server, TestRepository repository, Random random)
    {
        switch (random.Next(7))
        {
            case 0:
                (await server.PutValueAsync("one", "v" + random.Next(5))).Ok();
                return;
            case 1:
                (await server.PutValueAsync("two", "v" + random.Next(5))).Ok();
                return;
            case 2:
                await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = random.Next(1, (int)server.Release + 1) });
                return;
            case 3:
                await server.Admin.DeleteAsync("/v1/config/a/dev/pin");
                return;
            default:
                var name = new[] { "a.yml", "b.yml", "application.yml", "a-prod.yml", "application-dev.yml" }[random.Next(5)];
                repository.Commit((name, $"x: {random.Next(9)}\nz: ${{secret:{(random.Next(2) == 0 ? "one" : "two")}}}\nk{random.Next(3)}: ${{x}}\n"));
                await server.RefreshAsync();
                return;
        }
    }

    private static async Task<TestServer> CopyAsync(TestServer server)
    {
        var copy = TestServer.Create("", o => o with { Config = server.Options.Config });
        await server.StopAsync();
        foreach (var file in Directory.GetFiles(server.Options.Data, "*", SearchOption.AllDirectories))
        {
            var target = Path.Combine(copy.Options.Data, Path.GetRelativePath(server.Options.Data, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(copy.Options.Data, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        await copy.StartAsync();
        return copy;
    }
}
