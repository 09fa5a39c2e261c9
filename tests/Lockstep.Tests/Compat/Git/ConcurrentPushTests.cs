using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Git;

/// <summary>Several who write at once: one after the other, each told what became of it, and nothing lost.</summary>
[Trait("speed", "medium")]
public sealed class ConcurrentPushTests
{
    [Fact]
    public async Task Two_pushes_and_a_put_at_once_are_taken_one_by_one()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var first = GitClone.Clone(server, server.Admin);
        first.Deploy(("a.yml", "x: 0\n"));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        using var second = GitClone.Clone(server, server.Admin);
        for (var round = 1; round <= 3; round++)
        {
            var before = server.Release;
            first.Run("pull", "--quiet", "--rebase", "origin", "main");
            second.Run("pull", "--quiet", "--rebase", "origin", "main");
            first.Commit(("one.yml", $"x: {round}\n"));
            second.Commit(("two.yml", $"x: {round}\n"));
            var pushes = new[] { first, second }.Select(c => Task.Run(() => c.Push())).ToArray();
            var put = server.Admin.SendAsync("PUT", "/v1/files/three.yml", $"x: {round}\n", round == 1 ? ("If-None-Match", "*") : ("If-Match", "*"));
            var results = await Task.WhenAll(pushes);
            // The put reads where the branch stands when its turn comes, so that it is never in anybody's way.
            (await put).Ok();
            foreach (var (clone, (exit, said)) in new[] { first, second }.Zip(results))
            {
                if (exit == 0) continue;
                said.ShouldMatch("meanwhile: somebody else was faster|fetch first|failed to update ref|incorrect old value|cannot lock ref");
                clone.Run("pull", "--quiet", "--rebase", "origin", "main");
                clone.Push().Exit.ShouldBe(0);
            }
            server.Release.ShouldBe(before + 3);
            foreach (var service in new[] { "one", "two", "three" }) (await server.Admin.ConfigAsync(service + "/dev")).Ok().Value("x").ShouldBe($"{round}");
        }
    }

    [Fact]
    public async Task Pushes_to_different_branches_at_once_are_all_accepted()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var main = GitClone.Clone(server, server.Admin);
        main.Deploy(("a.yml", "x: 0\n"));
        var clones = Enumerable.Range(0, 4).Select(_ => GitClone.Clone(server, server.Admin)).ToList();
        try
        {
            var results = await Task.WhenAll(clones.Select((clone, n) => Task.Run(() =>
            {
                clone.Commit(("a.yml", $"x: {n}\n"));
                return clone.Push($"HEAD:team-{n}");
            })));
            results.ShouldAllBe(r => r.Exit == 0);
            for (var n = 0; n < clones.Count; n++) (await server.Admin.ConfigAsync("a/dev", $"?label=team-{n}")).Ok().Value("x").ShouldBe($"{n}");
        }
        finally
        {
            foreach (var clone in clones) clone.Dispose();
        }
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_holds_nobody_up()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 0\n"));
        for (var i = 0; i < 4; i++)
        {
            using var other = GitClone.Clone(server, server.Admin);
            other.Commit(("b.yml", $"x: {i}\n"));
            using var push = GitClone.Start(other.Path, "push", "origin", "HEAD:main");
            using (var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(100 * i)))
            {
                try
                {
                    await push.WaitForExitAsync(patience.Token);
                }
                catch (OperationCanceledException)
                {
                }
            }
            push.Kill(entireProcessTree: true);
            await push.WaitForExitAsync();
            clone.Run("pull", "--quiet", "--rebase", "origin", "main");
            clone.Commit(("a.yml", $"x: {i + 1}\n"));
            var (exit, said) = clone.Push();
            // One that was about to end may just have been faster.
            if (exit != 0)
            {
                clone.Run("pull", "--quiet", "--rebase", "origin", "main");
                (exit, said) = clone.Push();
            }
            exit.ShouldBe(0, said);
            (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe($"{i + 1}");
        }
    }
}
