using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Git;

/// <summary>A real git client against the server's own repository.</summary>
[Trait("speed", "medium")]
public sealed class GitPushTests
{
    [Fact]
    public async Task What_is_pushed_is_live_when_the_push_returns()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("application.yml", "shared: 1\n"), ("payments.yml", "db:\n  port: 1\n"));
        (await server.Admin.ConfigAsync("payments/production")).Ok().Value("db.port").ShouldBe("1");

        var said = clone.Deploy(("payments.yml", "db:\n  port: 2\n  host: h\n"));
        said.ShouldContain($"remote: release {server.Release} changed payments/production (2 keys)");
        var read = (await server.Admin.ConfigAsync("payments/production")).Ok();
        read.Value("db.port").ShouldBe("2");
        read.Json.GetProperty("commit").GetString().ShouldBe(clone.Head);

        using var other = GitClone.Clone(server, server.Admin);
        other.Head.ShouldBe(clone.Head);
        other.Run("for-each-ref", "--format=%(refname)").ShouldNotContain("lockstep");
        var release = (await server.Admin.GetAsync($"/v1/releases/{server.Release}")).Ok().Json;
        release.GetProperty("by").GetString().ShouldBe(server.Admin.Name);
        release.GetProperty("message").GetString().ShouldBe("change payments.yml (by Ann Author)");
    }

    [Fact]
    public async Task A_push_that_breaks_a_document_is_refused_with_file_line_key_and_reason_and_changes_nothing()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("payments.yml", "a: 1\n"));
        (await server.Admin.ConfigAsync("payments/production")).Ok();
        var (release, head) = (server.Release, clone.Head);

        clone.Commit(("payments.yml", "a: 1\nb:\n  c: ${secret:none/there}\n"), ("unused.yml", "fine: 1\nx: [1\n"));
        var (exit, said) = clone.Push();
        exit.ShouldNotBe(0);
        said.ShouldContain("remote: error: payments.yml:3: b.c: the secret 'none/there' does not exist");
        said.ShouldContain("(payments/production)");
        said.ShouldContain("remote: error: unused.yml:");
        said.ShouldContain("remote: refused, nothing has changed: 2 things are wrong");
        said.ShouldContain("pre-receive hook declined");
        server.Release.ShouldBe(release);
        clone.Run("ls-remote", "origin", "refs/heads/main").ShouldStartWith(head);
        (await server.Admin.ConfigAsync("payments/production")).Ok().Values.EnumerateObject().Count().ShouldBe(1);

        // The same, mended.
        (await server.PutAsync("none/there", "v")).Ok();
        clone.Deploy(("unused.yml", "fine: 1\n"));
        (await server.Admin.ConfigAsync("payments/production")).Ok().Value("b.c").ShouldBe("v");
    }

    [Fact]
    public async Task A_number_that_turns_into_text_and_a_placeholder_that_names_nothing_are_warnings()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("payments.yml", "port: 8080\nlive: true\n"));
        (await server.Admin.ConfigAsync("payments/production")).Ok();
        var said = clone.Deploy(("payments.yml", "port: '8080'\nlive: 'true'\nurl: ${nothing.here}\n"));
        said.ShouldContain("remote: warning: payments.yml:1: port: was the number 8080 and turns into text");
        said.ShouldContain("remote: warning: payments.yml:2: live: was the boolean true and turns into text");
        said.ShouldContain("remote: warning: payments.yml:3: url: the placeholder '${nothing.here}' names no key");
        said.ShouldContain("changed payments/production (3 keys)");
    }

    [Fact]
    public async Task A_change_is_rolled_back_with_git_revert_or_with_a_pin()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var good = server.Release;
        clone.Deploy(("a.yml", "x: 2\n"));
        clone.Run("revert", "--no-edit", "HEAD");
        clone.Push().Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev")).Value("x").ShouldBe("1");

        clone.Deploy(("a.yml", "x: 3\n"));
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = good })).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Value("x").ShouldBe("1");
        clone.Deploy(("a.yml", "x: 4\n")).ShouldContain("changed no known document");
        (await server.Admin.ConfigAsync("a/dev")).Value("x").ShouldBe("1");
    }

    [Fact]
    public async Task Without_a_valid_token_there_is_no_clone_and_no_push()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"));
        using var stranger = GitClone.Of(server.Server.Address, "lks_wrong");
        Should.Throw<InvalidOperationException>(() => stranger.Clone()).Message.ShouldContain("Authentication failed");

        (await server.Nobody.GetAsync("/git/config.git/info/refs?service=git-upload-pack")).Header("WWW-Authenticate")!.ShouldStartWith("Basic ");
        (await server.Admin.GetAsync("/git/config.git/info/refs?service=git-upload-pack")).Ok().Text.ShouldContain("refs/heads/main");
        (await server.Admin.GetAsync("/git/config.git/info/refs")).Status.ShouldBe(400);
        (await server.Admin.GetAsync("/git/config.git/HEAD")).Status.ShouldBe(404);
        (await server.Admin.GetAsync("/git/config.git/info/refs?service=git-upload-archive")).Status.ShouldBe(400);
    }

    [Fact]
    public async Task Who_may_read_some_only_may_not_clone_and_who_may_not_write_may_not_push()
    {
        await using var server = await StartWithRolesAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"), ("other.yml", "x: 1\n"));
        foreach (var service in new[] { "payments", "other" }) (await server.Admin.ConfigAsync(service + "/dev")).Ok();

        using var limited = GitClone.Of(server, await server.AsAsync("payments"));
        Should.Throw<InvalidOperationException>(() => limited.Clone()).Message.ShouldContain("remote: the token");
        using var narrowed = GitClone.Of(server, await server.AsAsync("viewer", t => t with { Services = ["payments"] }));
        Should.Throw<InvalidOperationException>(() => narrowed.Clone()).Message.ShouldContain("403");
        using var viewer = GitClone.Clone(server, await server.AsAsync("viewer"));
        viewer.Commit(("payments.yml", "x: 2\n"));
        viewer.Push().Output.ShouldContain("does not have config:write");
        (await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE action IN ('git.fetch', 'git.push')")).Single().ShouldBe("3");
    }

    [Fact]
    public async Task A_push_may_touch_only_the_paths_documents_and_secrets_of_its_token()
    {
        await using var server = await StartWithRolesAsync();
        using var admin = GitClone.Clone(server, server.Admin);
        admin.Deploy(("payments.yml", "x: 1\n"), ("other.yml", "x: 1\n"), ("application.yml", "y: 1\n"));
        foreach (var service in new[] { "payments", "other" }) (await server.Admin.ConfigAsync(service + "/dev")).Ok();
        (await server.PutAsync("payments/db", "own")).Ok();
        (await server.PutAsync("other/db", "foreign")).Ok();
        using var clone = GitClone.Of(server, await server.AsAsync("payments"));
        TestRepository.Run(Path.GetDirectoryName(clone.Path)!, [], "clone", "--quiet", server.Server.Repository.Directory, clone.Path);
        clone.Run("remote", "set-url", "origin", clone.Url);
        var release = server.Release;

        Refused(("other.yml", "x: 2\n")).ShouldContain("has no config:write on other.yml");
        Refused(("README.md", "mine")).ShouldContain("has no config:write on README.md");
        // Within its paths, but it shapes other services.
        Refused(("payments-shared/application.yml", "y: 2\n")).ShouldContain("has no config:write on payments-shared/application.yml");
        Refused(("payments.yml", "x: ${secret:other/db}\n")).ShouldContain("has no secret:read on other/db");
        // Also where no known document uses the file.
        Refused(("payments-unused.yml", "x: pre ${secret:other/db#f} ${a:${secret:other/db}}\n")).ShouldContain("has no secret:read on other/db");
        // As text, too.
        Refused(("payments.yml", "# ${secret:other/db}\nx: 1\n")).ShouldContain("has no secret:read on other/db");
        server.Release.ShouldBe(release);
        (await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE action = 'git.push' AND entry LIKE '%denied%'")).Single().ShouldBe("6");

        clone.Deploy(("payments.yml", "x: ${secret:payments/db}\n")).ShouldContain("changed payments/dev (1 key)");
        clone.Deploy(("payments.yml", null)).ShouldContain("changed payments/dev");

        string Refused(params (string, string?)[] files)
        {
            var head = clone.Head;
            clone.Commit(files);
            var (exit, said) = clone.Push();
            exit.ShouldNotBe(0);
            clone.Run("reset", "--quiet", "--hard", head);
            return said;
        }
    }

    [Fact]
    public async Task The_tracked_branch_is_never_deleted_and_loses_commits_to_admins_only()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, await server.AsAsync("writer"));
        clone.Deploy(("a.yml", "x: 1\n"));
        clone.Deploy(("a.yml", "x: 2\n"));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        clone.Push("--delete", "main").Output.ShouldContain("it can't be deleted");
        clone.Run("reset", "--quiet", "--hard", "HEAD~1");
        clone.Push("--force", "HEAD:main").Output.ShouldContain("would take commits out of main, which needs admin");
        clone.Push("HEAD:refs/lockstep/keep/x").Output.ShouldContain("rejected");
        clone.Push("HEAD:refs/notes/x").Output.ShouldContain("only branches and tags");
        (await server.Admin.ConfigAsync("a/dev")).Value("x").ShouldBe("2");

        using var admin = GitClone.Clone(server, server.Admin);
        admin.Run("reset", "--quiet", "--hard", "HEAD~1");
        admin.Push("--force", "HEAD:main").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev")).Value("x").ShouldBe("1");
        (await server.Admin.ConfigAsync("a/dev", "?release=3")).Ok().Value("x").ShouldBe("2");
    }

    [Fact]
    public async Task Other_branches_and_tags_are_checked_for_the_documents_that_are_read_from_them()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Deploy(("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"));
        clone.Run("tag", "-a", "-m", "one", "v1");
        clone.Push("HEAD:feature/x", "v1").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev", "?label=feature/x")).Ok();
        (await server.Admin.ConfigAsync("a/dev", "?label=v1")).Ok();

        clone.Commit(("a.yml", "x: ${secret:none}\n"));
        clone.Push("HEAD:feature/x").Output.ShouldContain("error: a.yml:1: x: the secret 'none' does not exist");
        clone.Run("reset", "--quiet", "--hard", "HEAD~1");
        // Nobody reads b from there: what is wrong with it is for those who work on it.
        clone.Commit(("b.yml", "x: [\n"), ("a.yml", "x: 2\n"));
        var (exit, said) = clone.Push("HEAD:feature/x");
        exit.ShouldBe(0, said);
        said.ShouldContain("warning: b.yml:");
        said.ShouldContain("changed a/dev@feature/x (1 key)");
        (await server.Admin.ConfigAsync("a/dev", "?label=feature/x")).Ok().Value("x").ShouldBe("2");

        clone.Run("tag", "-f", "v1", "HEAD");
        clone.Push("--force", "v1").Exit.ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev", "?label=v1")).Ok().Value("x").ShouldBe("2");
        clone.Push("HEAD:main").Output.ShouldContain("error: b.yml:");
        // A branch that goes is no reason to keep it: its readers keep what they have, marked stale.
        (exit, said) = clone.Push("--delete", "feature/x", "v1");
        exit.ShouldBe(0, said);
        said.ShouldContain("warning: a/dev@feature/x is read from a branch or tag that goes");
        (await server.Admin.ConfigAsync("a/dev", "?label=feature/x")).Ok().Json.GetProperty("stale").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Object);
    }

    [Fact]
    public async Task A_token_that_is_rolled_while_its_push_is_on_the_way_pushes_nothing()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var writer = await server.AsAsync("writer");
        using var clone = GitClone.Clone(server, writer);
        clone.Deploy(("a.yml", "x: 1\n"));
        clone.Commit(("a.yml", "x: 2\n"));
        // While somebody else moves refs the push waits with its check.
        Task<(int Exit, string Output)> push;
        using (await server.Server.Repository.LockAsync(default))
        {
            push = Task.Run(() => clone.Push());
            var hooks = Path.Combine(server.Options.Data, "git-hooks");
            var deadline = TimeProvider.System.GetUtcNow() + TimeSpan.FromSeconds(30);
            while (Directory.GetFiles(hooks, "push-*").Length == 0 && TimeProvider.System.GetUtcNow() < deadline) await Task.Yield();
            (await server.Admin.PostAsync($"/v1/tokens/{writer.Name}/roll")).Ok();
        }
        var (exit, said) = await push;
        exit.ShouldNotBe(0);
        said.ShouldContain("error: the token");
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("1");
    }

    [Fact]
    public async Task With_compat_git_off_there_is_nothing()
    {
        await using var server = await TestServer.StartEmbeddedAsync(o => o with { Compat = o.Compat with { Git = false } });
        (await server.Admin.GetAsync("/git/config.git/info/refs?service=git-upload-pack")).ShouldBe(404, "not-found");
    }

    private static Task<TestServer> StartWithRolesAsync() => TestServer.StartEmbeddedAsync(o => o with
    {
        Roles =
        [
            new() { Name = "payments", Permissions = ["config:read", "config:write", "secret:read"], Services = ["payments"], Secrets = ["payments/**"], Paths = ["payments*.yml"] },
        ],
    });
}
