using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>L8 for pushes to the built program by a real git client: what git was told is accepted is there, whenever the server is killed.</summary>
[Trait("speed", "medium")]
public sealed class GitPushTests(ITestOutputHelper output)
{
    [Fact]
    public async Task A_push_to_the_program_itself_is_checked_and_live_when_it_returns()
    {
        await using var server = await PublishedServer.StartAsync();
        using var clone = GitClone.Of(Address(server), server.Token).Clone();
        clone.Deploy(("shop.yml", "n: 1\n"));
        (await ReadAsync(server)).ShouldBe(1);
        clone.Deploy(("shop.yml", "n: 2\n")).ShouldContain("changed shop/dev (1 key)");
        (await ReadAsync(server)).ShouldBe(2);
        clone.Commit(("shop.yml", "n: ${secret:none}\n"));
        clone.Push().Output.ShouldContain("error: shop.yml:1: n: the secret 'none' does not exist");
        server.Log.ShouldNotContain(server.Token);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task A_kill_in_the_middle_of_a_push_leaves_it_done_or_undone_and_what_was_accepted_done(int seed)
    {
        var random = new Random(seed);
        await using var server = await PublishedServer.StartAsync();
        using var clone = GitClone.Of(Address(server), server.Token).Clone();
        clone.Deploy(("shop.yml", "n: 0\n"));
        (await ReadAsync(server)).ShouldBe(0);
        var accepted = 0;
        for (var n = 1; n <= 6; n++)
        {
            clone.Commit(("shop.yml", $"n: {n}\n"));
            using var push = GitClone.Start(clone.Path, "push", "origin", "HEAD:main");
            var (said, told) = (push.StandardError.ReadToEndAsync(), push.StandardOutput.ReadToEndAsync());
            using (var moment = new CancellationTokenSource(random.Next(700)))
            {
                try
                {
                    await push.WaitForExitAsync(moment.Token);
                }
                catch (OperationCanceledException)
                {
                    // Now.
                }
            }
            await server.KillAsync();
            await push.WaitForExitAsync();
            await Task.WhenAll(said, told);
            if (push.ExitCode == 0) accepted++;

            await server.StartAgainAsync();
            // What git started may outlive the server for an instant; then it has ended one way or the other.
            var there = 0;
            await Tool.UntilAsync(async () =>
            {
                (await server.Client.PostAsync("/v1/refresh", null)).EnsureSuccessStatusCode();
                there = int.Parse(GitClone.Execute(server.Data, [], "--git-dir=config.git", "show", "main:shop.yml").Output.Trim()["n: ".Length..], System.Globalization.CultureInfo.InvariantCulture);
                return await ReadAsync(server) == there;
            }, TimeSpan.FromSeconds(30), "the document is what the branch says");
            if (push.ExitCode == 0) there.ShouldBe(n, $"seed {seed}: {await said}");
            clone.Run("fetch", "--quiet", "origin");
            clone.Run("reset", "--quiet", "--hard", "origin/main");
        }
        clone.Deploy(("shop.yml", "n: 99\n"));
        (await ReadAsync(server)).ShouldBe(99);
        output.WriteLine($"{accepted} of 6 pushes were accepted before the kill");
    }

    private static string Address(PublishedServer server) => server.Address.GetLeftPart(UriPartial.Authority);

    private static async Task<int> ReadAsync(PublishedServer server)
    {
        using var json = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/config/shop/dev"));
        return json.RootElement.GetProperty("values").GetProperty("n").GetInt32();
    }
}
