using System.Globalization;
using System.Text;
using Lockstep.Access;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Git;

/// <summary>What a push may do to refs, and what counts of the commits it brings.</summary>
[Trait("speed", "medium")]
public sealed class PushPolicyTests
{
    private static readonly RoleOptions s_team = new()
    {
        Name = "team",
        Permissions = ["config:read", "config:write", "secret:read"],
        Services = ["payments"],
        Secrets = ["payments/**"],
        Paths = ["payments*.yml"],
    };

    [Fact]
    public async Task A_tag_that_is_moved_to_what_is_no_commit_is_checked_as_if_it_went()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"));
        admin.Commit(("other.yml", "x: 1\n"));
        admin.Push("HEAD:refs/tags/v1").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("other/dev", "?label=v1")).Ok();
        using var team = await CloneAsync(server, "team");
        var release = server.Release;

        var blob = team.Run("rev-parse", "HEAD:payments.yml");
        team.Push("--force", blob + ":refs/tags/v1").Output.ShouldContain("has no config:write on other.yml");
        // Who may do it is told what breaks.
        admin.Push("--force", blob + ":refs/tags/v1").Output.ShouldContain("error: 'v1' is no branch, tag or commit of the repository (other/dev@v1)");
        admin.Push("--force", blob + ":refs/heads/odd").Exit.ShouldNotBe(0);
        server.Release.ShouldBe(release);
        (await server.Admin.ConfigAsync("other/dev", "?label=v1")).Ok();
        // Where nobody reads from it, it is kept, and nothing is served from it.
        var (exit, said) = admin.Push(blob + ":refs/tags/picture");
        exit.ShouldBe(0, said);
        said.ShouldContain("warning: picture names no commit");
    }

    [Theory]
    [InlineData("deadbee")]
    [InlineData("20260101")]
    [InlineData("0123456789ABCDEF0123456789abcdef01234567")]
    public async Task A_branch_or_tag_that_could_be_taken_for_a_commit_is_refused(string name)
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("a.yml", "x: 1\n"));
        foreach (var kind in new[] { "heads", "tags" })
            admin.Push($"HEAD:refs/{kind}/{name}").Output.ShouldContain($"{name} can't be pushed: it could be taken for the id of a commit");
        admin.Push($"HEAD:refs/heads/release-{name}").Exit.ShouldBe(0);
        // One that is there can be deleted.
        TestRepository.Run(server.Server.Repository.Directory, [], "update-ref", "refs/tags/" + name, admin.Head);
        admin.Push("--delete", name).Exit.ShouldBe(0);
    }

    [Fact]
    public async Task A_full_commit_id_means_that_commit_also_where_a_remote_has_refs_of_that_name()
    {
        using var remote = TestRepository.With(("a.yml", "x: right\n"));
        var commit = remote.Head;
        var forged = remote.Commit(("a.yml", "x: forged\n"));
        remote.Git("update-ref", "refs/heads/" + commit, forged);
        remote.Git("update-ref", "refs/tags/" + commit, forged);
        await using var server = await TestServer.StartAsync(remote);
        foreach (var label in new[] { commit, commit.ToUpperInvariant() })
        {
            (await server.Admin.ConfigAsync("a/dev", "?label=" + label)).Ok().Value("x").ShouldBe("right");
            (await server.Admin.GetAsync("/v1/files/a.yml?label=" + label)).Ok().Text.ShouldBe("x: right\n");
            (await server.Admin.GetAsync($"/spring/a/dev/{label}")).Ok().Text.ShouldContain("right");
        }
    }

    [Fact]
    public async Task Branches_and_tags_are_created_and_deleted_by_who_reaches_every_file_and_up_to_a_limit()
    {
        await using var server = await StartAsync(GitLimits.Default with { PushedRefs = 4 });
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"));
        admin.Push("HEAD:b1", "HEAD:refs/tags/t1").Exit.ShouldBe(0);
        using var team = await CloneAsync(server, "team");
        foreach (var what in new[] { "HEAD:refs/heads/mine", "HEAD:refs/tags/mine", ":refs/heads/b1", ":refs/tags/t1" })
            team.Push(what).Output.ShouldContain("may not create or delete branches and tags");
        (await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE action = 'git.push' AND entry LIKE '%denied%'")).Single().ShouldBe("4");
        team.Commit(("payments.yml", "x: 2\n"));
        team.Push("HEAD:main", "HEAD:b1").Exit.ShouldBe(0);

        // Those that name no commit count too.
        admin.Push(admin.Run("rev-parse", "HEAD:payments.yml") + ":refs/tags/blob").Exit.ShouldBe(0);
        admin.Push("HEAD:b2").Output.ShouldContain("there would be more than 4 branches and tags");
        admin.Push("HEAD:b2", ":b1").Exit.ShouldBe(0);
    }

    [Fact]
    public async Task Every_commit_of_a_push_must_be_allowed_not_only_where_it_ends()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\ny: 1\nz: 1\n"), ("other.yml", "x: 1\n"));
        (await server.PutAsync("other/db", "foreign")).Ok();
        using var team = await CloneAsync(server, "team");
        var start = team.Head;

        await RefusedAsync("has no config:write on other.yml", team.Commit(("other.yml", "x: forged\n")), team.Commit(("other.yml", "x: 1\n")));
        await RefusedAsync("has no secret:read on other/db", team.Commit(("payments.yml", "x: ${secret:other/db}\n")), team.Commit(("payments.yml", "x: 2\n")));
        // What belongs to nobody it grew from.
        team.Run("checkout", "--quiet", "--orphan", "alone");
        team.Run("rm", "-rf", "--quiet", ".");
        var orphan = team.Commit(("other.yml", "x: forged\n"));
        team.Run("checkout", "--quiet", "main");
        team.Run("merge", "--quiet", "--strategy", "ours", "--allow-unrelated-histories", "alone");
        await RefusedAsync("has no config:write on other.yml", orphan);

        // A merge brings what others did, and may settle what both did; it may not add anything else.
        admin.Deploy(("payments.yml", "x: ${secret:other/db}\ny: 1\nz: 1\n"), ("other.yml", "x: 2\n"));
        team.Commit(("payments.yml", "x: 2\ny: 1\nz: 3\n"));
        team.Run("fetch", "--quiet", server.Server.Repository.Directory, "main");
        team.Try("merge", "FETCH_HEAD");
        team.Commit(("payments.yml", "x: ${secret:other/db}\ny: 1\nz: 3\n"));
        start = team.Head;
        team.Write("other.yml", "x: forged\n");
        team.Run("commit", "--quiet", "--amend", "--all", "--no-edit");
        await RefusedAsync("has no config:write on other.yml", team.Head, team.Commit(("other.yml", "x: 2\n")));
        var (exit, said) = team.Push();
        exit.ShouldBe(0, said);
        (await server.Admin.ConfigAsync("payments/dev", "?label=" + team.Head)).Ok().Value("x").ShouldBe("foreign");

        async Task RefusedAsync(string why, params string[] commits)
        {
            var (exit, said) = team.Push();
            exit.ShouldNotBe(0);
            said.ShouldContain(why);
            said.ShouldContain($"in commit {commits[0][..10]}");
            (await server.Admin.ConfigAsync("other/dev", "?label=" + commits[0])).ShouldBe(404, "not-found");
            team.Run("reset", "--quiet", "--hard", start);
        }
    }

    [Fact]
    public async Task A_commit_that_comes_with_a_push_and_that_no_ref_leads_to_must_be_allowed_too()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"), ("other.yml", "x: 1\n"));
        using var team = await CloneAsync(server, "team");
        var start = team.Head;
        var forged = team.Commit(("other.yml", "x: forged\n"));
        team.Run("reset", "--quiet", "--hard", start);
        var tip = team.Commit(("payments.yml", "x: 2\n"));

        (await SendPackAsync(server, team, (start, tip), forged, tip)).ShouldContain("has no config:write on other.yml");
        (await server.Admin.ConfigAsync("other/dev", "?label=" + forged)).ShouldBe(404, "not-found");
        (await SendPackAsync(server, team, (start, tip), tip)).ShouldContain("ok refs/heads/main");
        (await server.Admin.ConfigAsync("payments/dev")).Ok().Value("x").ShouldBe("2");
    }

    [Fact]
    public async Task A_limited_token_pushes_a_bounded_number_of_commits_at_once()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"));
        using var team = await CloneAsync(server, "team");
        var stream = new StringBuilder();
        for (var i = 0; i <= 1000; i++)
        {
            stream.Append("commit refs/heads/main\ncommitter Ann Author <ann@example.com> 1700000000 +0000\ndata 1\nx\n");
            if (i == 0) stream.Append(CultureInfo.InvariantCulture, $"from {team.Head}\n");
            var text = $"x: {i}\n";
            stream.Append(CultureInfo.InvariantCulture, $"M 100644 inline payments.yml\ndata {text.Length}\n{text}\n");
        }
        team.RunWithInput(Encoding.ASCII.GetBytes(stream.ToString()), "fast-import", "--quiet");
        team.Push("main").Output.ShouldContain("up to 1,000 at once: push them in several steps");
        team.Push("main~1:main").Exit.ShouldBe(0);
        team.Push("main").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("payments/dev")).Ok().Value("x").ShouldBe("1000");
    }

    [Fact]
    public async Task A_secret_that_a_push_needs_is_not_taken_away_before_the_push_is_live()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("a.yml", "x: 1\n"));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        foreach (var id in new[] { "one", "two" }) (await server.PutAsync(id, """{"f":"v"}""")).Ok();
        (await server.Admin.PutAsync("/v1/secrets/one?activate=false", new { value = """{"g":"v"}""" })).Ok();
        var commit = admin.Commit(("a.yml", "x: ${secret:one#f}\n"));
        TestRepository.Run(server.Server.Repository.Directory, [], "fetch", "--quiet", admin.Path, "HEAD:refs/keep/x");
        Task<Answer> deleted, activated;
        using (await server.Server.Repository.LockAsync(default))
        {
            // A push was checked, its ref moves now.
            deleted = server.Admin.DeleteAsync("/v1/secrets/one");
            activated = server.Admin.PostAsync("/v1/secret-activations/one", new { version = 2 });
            (await server.Admin.DeleteAsync("/v1/secrets/two?force=true")).Status.ShouldBe(204);
            TestRepository.Run(server.Server.Repository.Directory, [], "update-ref", "refs/heads/main", commit);
            (await server.Admin.PostAsync("/v1/refresh")).Ok();
        }
        (await deleted).ShouldBe(409, "conflict");
        (await activated).ShouldBe(409, "conflict");
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("v");
    }

    [Fact]
    public async Task Who_pushes_is_told_what_broke_all_the_same_and_nothing_of_documents_that_are_not_theirs()
    {
        await using var server = await TestServer.StartEmbeddedAsync(o => o with
        {
            Roles = [s_team with { Paths = ["**"] }],
        });
        using var admin = GitClone.Clone(server, server.Admin);
        (await server.PutAsync("other/key", "v")).Ok();
        admin.Deploy(("payments.yml", "x: 1\n"), ("other.yml", "x: ${secret:other/key}\n"));
        foreach (var service in new[] { "payments", "other" }) (await server.Admin.ConfigAsync(service + "/dev")).Ok();
        (await server.Admin.DeleteAsync("/v1/secrets/other/key?force=true")).Status.ShouldBe(204);
        using var team = GitClone.Clone(server, await server.AsAsync("team"));
        team.Commit(("application.yml", "# nothing\n"));
        var (exit, said) = team.Push();
        exit.ShouldBe(0, said);
        said.ShouldContain("warning: there are warnings about 1 document that the token may not read");
        said.ShouldNotContain("other");
        admin.Run("pull", "--quiet", "--rebase", "origin", "main");
        admin.Deploy(("application.yml", "# more\n")).ShouldContain("warning: other/dev still does not resolve");

        var call = new CallContext(Caller.System("git"), null, null, null, "push");
        var outcome = new ReleaseOutcome(server.Gate.Lane.Live.Release, [new DocumentChange(new DocumentKey("payments", "dev"), null, []) { Reason = "x: no more" }]);
        Lockstep.Gate.Gate.DescribeOutcome(call, outcome).ShouldBe([$"error: payments/dev does not resolve at release {server.Release}: x: no more"]);
    }

    [Fact]
    public async Task A_document_of_a_branch_may_break_only_when_nothing_of_that_name_is_left()
    {
        await using var server = await StartAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("a.yml", "x: 1\n"));
        admin.Push("HEAD:refs/heads/x", "HEAD:refs/tags/x").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev", "?label=x")).Ok();
        admin.Commit(("a.yml", "x: ${secret:none}\n"));
        admin.Push("HEAD:refs/heads/x", ":refs/tags/x").Output.ShouldContain("error: a.yml:1: x: the secret 'none' does not exist");
        admin.Push(":refs/heads/x", ":refs/tags/x").Output.ShouldContain("left a/dev@x as it was, marked stale");
    }

    // As no git client would: with commits that the refs do not lead to.
    private static async Task<string> SendPackAsync(TestServer server, GitClone clone, (string Old, string New) main, params string[] commits)
    {
        var objects = clone.Run(["rev-list", "--objects", .. commits, "--not", main.Old]);
        var name = clone.RunWithInput(Encoding.ASCII.GetBytes(objects + "\n"), "pack-objects", "--quiet", Path.Combine(clone.Path, ".git", "odd")).Trim();
        var command = $"{main.Old} {main.New} refs/heads/main\0 report-status side-band-64k";
        byte[] body = [.. Encoding.ASCII.GetBytes($"{command.Length + 4:x4}{command}0000"), .. await File.ReadAllBytesAsync(Path.Combine(clone.Path, ".git", $"odd-{name}.pack"))];
        using var http = new HttpClient();
        using var content = new ByteArrayContent(body);
        content.Headers.TryAddWithoutValidation("Content-Type", "application/x-git-receive-pack-request");
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{server.Server.Address}/git/config.git/git-receive-pack") { Content = content };
        var credentials = new Uri(clone.Url).UserInfo;
        request.Headers.TryAddWithoutValidation("Authorization", "Basic " + Convert.ToBase64String(Encoding.ASCII.GetBytes(credentials)));
        using var answer = await http.SendAsync(request);
        return await answer.Content.ReadAsStringAsync();
    }

    private static Task<TestServer> StartAsync(GitLimits? limits = null) => TestServer.StartEmbeddedAsync(o => o with { Roles = [s_team] }, limits);

    // Who may not read everything clones from elsewhere.
    private static async Task<GitClone> CloneAsync(TestServer server, string role)
    {
        var clone = GitClone.Of(server, await server.AsAsync(role));
        TestRepository.Run(Path.GetDirectoryName(clone.Path)!, [], "clone", "--quiet", server.Server.Repository.Directory, clone.Path);
        clone.Run("remote", "set-url", "origin", clone.Url);
        return clone;
    }
}
