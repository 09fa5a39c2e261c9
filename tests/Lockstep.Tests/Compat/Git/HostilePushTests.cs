using System.Text;
using Lockstep.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Git;

/// <summary>Pushes that nobody should make.</summary>
[Trait("speed", "medium")]
public sealed class HostilePushTests
{
    [Fact]
    public async Task A_push_over_the_limit_is_refused_with_the_reason_and_leaves_nothing_behind()
    {
        await using var server = await TestServer.StartEmbeddedAsync(limits: GitLimits.Default with { PushBytes = 1024 * 1024 });
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        var release = server.Release;
        var noise = new byte[40 * 1024 * 1024];
        new Random(4711).NextBytes(noise);
        File.WriteAllBytes(Path.Combine(clone.Path, "noise.bin"), noise);
        clone.Commit();
        var (exit, said) = clone.Push();
        exit.ShouldNotBe(0);
        said.ShouldContain("pack exceeds maximum allowed size");
        server.Release.ShouldBe(release);
        GitStore.ObjectBytes(server.Server.Repository.Directory).ShouldBeLessThan(1024 * 1024);
        clone.Run("reset", "--quiet", "--hard", "HEAD~1");
        clone.Deploy(("a.yml", "x: 2\n")).ShouldContain("remote: release");
    }

    [Fact]
    public async Task Links_and_submodules_are_kept_with_a_warning_and_never_served()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await server.PutAsync("one", "v")).Ok();
        using var clone = GitClone.Clone(server, server.Admin);
        var first = clone.Deploy(("a.yml", "x: 1\n"), ("real/b.yml", "y: 1\n"));
        File.CreateSymbolicLink(Path.Combine(clone.Path, "b.yml"), "/etc/passwd");
        clone.Run("add", "--all");
        clone.Run("update-index", "--add", "--cacheinfo", $"160000,{clone.Head},sub.yml");
        clone.Run("commit", "--quiet", "-m", "odd");
        var (exit, said) = clone.Push();
        exit.ShouldBe(0, said);
        said.ShouldContain("warning: b.yml:1: is a symbolic link");
        said.ShouldContain("warning: sub.yml:1: is a submodule");
        (await server.Admin.ConfigAsync("b/dev")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/files/b.yml")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/files/sub.yml")).ShouldBe(404, "not-found");
        first.ShouldNotContain("warning");
    }

    [Fact]
    public async Task Names_that_lead_into_git_or_out_of_the_tree_are_refused()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        foreach (var name in new[] { ".git", "..", ".GIT", "." })
        {
            var said = PushTree(clone, Encoding.ASCII.GetBytes(name), "40000", Tree(clone, "100644"u8.ToArray(), "config"u8.ToArray(), Blob(clone, "x: 1\n")));
            said.ShouldContain("rejected");
        }
        (await server.Admin.GetAsync("/v1/files/a.yml")).Ok();
    }

    [Fact]
    public async Task Names_that_are_not_UTF_8_or_differ_in_case_only_are_refused_with_the_names()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"), ("dir/c.yml", "x: 1\n"));
        PushTree(clone, [(byte)'b', 0xFF, (byte)'.', (byte)'y', (byte)'m', (byte)'l'], "100644", Blob(clone, "x: 1\n")).ShouldContain("the file's name is not UTF-8; rename it");
        clone.Commit(("A.yml", "x: 1\n"), ("Dir/d.yml", "x: 1\n"));
        var said = clone.Push().Output;
        said.ShouldContain("its name differs from 'A.yml' only in case");
        said.ShouldContain("its name differs from 'Dir' only in case");
        said.ShouldContain("2 things are wrong");
    }

    [Fact]
    public async Task Yaml_bombs_and_files_that_are_too_large_are_refused_in_bounded_time()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        var bomb = new StringBuilder("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for (var i = 1; i < 12; i++) bomb.Append($"a{i}: &a{i} [{string.Join(',', Enumerable.Repeat($"*a{i - 1}", 10))}]\n");
        clone.Commit(("bomb.yml", bomb.ToString()), ("large.yml", "x: " + new string('x', 5 * 1024 * 1024)), ("bytes.yml", "x: \u0000\u0001\n"));
        var (exit, said) = clone.Push();
        exit.ShouldNotBe(0);
        said.ShouldContain("error: bomb.yml:");
        said.ShouldContain("error: bytes.yml:");
        said.ShouldContain("error: large.yml:1: the file is 5,242,8");
    }

    [Fact]
    public async Task What_comes_through_the_network_and_is_no_git_client_gets_no_far()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        const string Push = "/git/config.git/git-receive-pack";
        (await server.Admin.PostAsync(Push)).Status.ShouldBe(400);
        using var http = new HttpClient();
        foreach (var service in new[] { "git-receive-pack", "git-upload-pack" })
        {
            foreach (var (body, encoding) in new[] { ("garbage", ""), ("0000", ""), ("00", ""), ("ffff", ""), ("not gzip", "gzip"), ("x", "br") })
            {
                using var content = new ByteArrayContent(Encoding.ASCII.GetBytes(body));
                content.Headers.TryAddWithoutValidation("Content-Type", $"application/x-{service}-request");
                if (encoding.Length > 0) content.Headers.TryAddWithoutValidation("Content-Encoding", encoding);
                using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Server.Address}/git/config.git/{service}") { Content = content };
                request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + server.Admin.Token);
                try
                {
                    using var answer = await http.SendAsync(request);
                    ((int)answer.StatusCode).ShouldBeOneOf(200, 400);
                }
                catch (HttpRequestException)
                {
                    // Broken off in the middle, as the answer had begun.
                }
            }
        }
        clone.Deploy(("a.yml", "x: 2\n")).ShouldContain("remote: release");
        server.Logs.Lines.ShouldNotContain(l => l.Contains(server.Admin.Token!, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_a_hook_that_can_be_executed_nothing_is_accepted()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        // One that is lost is written again.
        File.Delete(Path.Combine(server.Options.Data, "git-hooks", "pre-receive"));
        clone.Commit(("a.yml", "x: [\n"));
        clone.Push().Output.ShouldContain("error: a.yml");

        var hooks = Path.Combine(server.Options.Data, "git-hooks");
        await server.StopAsync();
        Directory.Delete(hooks, recursive: true);
        await File.WriteAllTextAsync(hooks, "in the way");
        await server.StartAsync();
        using var again = GitClone.Clone(server, server.Admin);
        again.Commit(("a.yml", "x: 3\n"));
        again.Push().Output.ShouldContain("which check a push, can't be executed");
        (await server.Server.Repository.RefsAsync(default))["refs/heads/main"].ShouldBe(again.Run("rev-parse", "origin/main"));
    }

    [Fact]
    [Trait("speed", "long")]
    public async Task A_commit_that_changes_50_000_files_is_checked_and_accepted()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        for (var i = 0; i < 50_000; i++) clone.Write($"d{i % 500}/s{i}.yml", $"n: {i}\n");
        clone.Commit(("a.yml", "x: 2\n"));
        var (exit, said) = clone.Push();
        exit.ShouldBe(0, said);
        said.ShouldContain("changed a/dev (1 key)");
        clone.Commit(("d1/s1.yml", "n: [\n"));
        clone.Push().Output.ShouldContain("error: d1/s1.yml:");
    }

    private static string PushTree(GitClone clone, byte[] name, string mode, string id)
    {
        var tree = Tree(clone, Encoding.ASCII.GetBytes(mode), name, id);
        var commit = clone.Run("commit-tree", tree, "-p", "HEAD", "-m", "odd");
        var (exit, said) = clone.Push(commit + ":refs/heads/main");
        exit.ShouldNotBe(0, said);
        return said;
    }

    private static string Blob(GitClone clone, string text) => clone.RunWithInput(Encoding.UTF8.GetBytes(text), "hash-object", "-w", "--stdin");

    private static string Tree(GitClone clone, byte[] mode, byte[] name, string id) =>
        clone.RunWithInput([.. mode, (byte)' ', .. name, 0, .. Convert.FromHexString(id)], "hash-object", "-w", "-t", "tree", "--literally", "--stdin");
}
