using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary>The files of the repository over HTTP: each write is one commit.</summary>
[Trait("speed", "medium")]
public sealed class FileTests
{
    [Fact]
    public async Task A_file_is_created_changed_and_deleted_by_one_commit_each_with_the_tokens_name_as_author()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var writer = await server.AsAsync("writer");
        (await PutAsync(writer, "a.yml", "x: 1\n", ifNoneMatch: "*")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("1");

        var read = (await writer.GetAsync("/v1/files/a.yml")).Ok();
        read.Text.ShouldBe("x: 1\n");
        read.Header("Lockstep-Release").ShouldBe(server.Release.ToString(System.Globalization.CultureInfo.InvariantCulture));
        (await writer.GetAsync("/v1/files/a.yml", ("If-None-Match", read.ETag))).Status.ShouldBe(304);
        var written = (await PutAsync(writer, "a.yml", "x: 2\n", ifMatch: read.ETag, query: "?message=Why")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2");
        written.Release.ShouldBe(server.Release);
        written.Json.GetProperty("changed")[0].GetProperty("service").GetString().ShouldBe("a");
        written.ETag.ShouldNotBe(read.ETag);
        (await writer.GetAsync("/v1/files/a.yml")).ETag.ShouldBe(written.ETag);
        var commit = written.Json.GetProperty("commit").GetString()!;
        TestRepository.Run(server.Server.Repository.Directory, [], "log", "-1", "--format=%H %an %s", "main").ShouldBe($"{commit} {writer.Name} Why");
        var release = (await server.Admin.GetAsync($"/v1/releases/{server.Release}")).Ok().Json;
        (release.GetProperty("by").GetString(), release.GetProperty("message").GetString()).ShouldBe((writer.Name, "Why"));

        (await SendAsync(writer, "DELETE", "a.yml", null, ("If-Match", written.ETag))).Ok();
        (await writer.GetAsync("/v1/files/a.yml")).ShouldBe(404, "not-found");
        (await server.Admin.ConfigAsync("a/dev")).Ok().Values.EnumerateObject().ShouldBeEmpty();
        // The same content again makes no commit and no release.
        (await PutAsync(writer, "b.yml", "y: 1\n", ifNoneMatch: "*")).Ok();
        var before = server.Release;
        (await PutAsync(writer, "b.yml", "y: 1\n", ifMatch: "*")).Ok().Release.ShouldBe(before);
    }

    [Fact]
    public async Task Without_a_condition_it_is_428_and_with_one_that_does_not_hold_412()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var etag = (await PutAsync(server.Admin, "a.yml", "x: 1\n", ifNoneMatch: "*")).Ok().ETag;
        (await PutAsync(server.Admin, "a.yml", "x: 2\n")).ShouldBe(428, "precondition-required");
        (await SendAsync(server.Admin, "DELETE", "a.yml", null)).ShouldBe(428, "precondition-required");
        (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifNoneMatch: "*")).ShouldBe(412, "precondition-failed");
        (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifMatch: "\"0000000000000000000000000000000000000000\"")).ShouldBe(412).Detail.ShouldContain(etag);
        (await PutAsync(server.Admin, "b.yml", "x: 2\n", ifMatch: "*")).ShouldBe(412, "precondition-failed");
        // A weak one never matches.
        (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifMatch: "W/" + etag)).ShouldBe(412, "precondition-failed");
        (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifMatch: etag, ifNoneMatch: "*")).ShouldBe(400, "bad-request");
        (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifNoneMatch: etag)).ShouldBe(400, "bad-request");
        (await server.Admin.GetAsync("/v1/files/a.yml")).Text.ShouldBe("x: 1\n");
    }

    [Fact]
    public async Task What_does_not_parse_is_422_and_what_breaks_a_document_409_and_nothing_has_changed()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var etag = (await PutAsync(server.Admin, "a.yml", "x: 1\n", ifNoneMatch: "*")).Ok().ETag;
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var release = server.Release;
        var error = (await PutAsync(server.Admin, "a.yml", "x: 1\ny: [\n", ifMatch: etag)).ShouldBe(422, "invalid-config").Json.GetProperty("errors")[0];
        error.GetProperty("file").GetString().ShouldBe("a.yml");
        error = (await PutAsync(server.Admin, "a.yml", "x: 1\ny: ${secret:none}\n", ifMatch: etag)).ShouldBe(409, "conflict").Json.GetProperty("errors")[0];
        (error.GetProperty("file").GetString(), error.GetProperty("line").GetInt32(), error.GetProperty("key").GetString()).ShouldBe(("a.yml", 2, "y"));
        server.Release.ShouldBe(release);
        (await server.Admin.GetAsync("/v1/files/a.yml")).ETag.ShouldBe(etag);
        Directory.GetDirectories(server.Server.Repository.Directory, "lockstep-objects-*").ShouldBeEmpty();
    }

    [Theory]
    [InlineData(".git/config")]
    [InlineData("a/.gitmodules")]
    [InlineData("a//b.yml")]
    [InlineData("%0Aa.yml")]
    [InlineData("a%5Cb.yml")]
    public async Task A_path_that_no_commit_should_hold_is_refused(string path)
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await PutAsync(server.Admin, path, "x: 1\n", ifNoneMatch: "*")).Status.ShouldBeOneOf(400, 404);
        (await server.Admin.GetAsync("/v1/files/" + path)).Status.ShouldBeOneOf(400, 404);
        (await server.Server.Repository.RefsAsync(default)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Labels_sizes_links_and_names_that_differ_in_case_only()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await PutAsync(server.Admin, "dir/a.yml", "x: 1\n", ifNoneMatch: "*")).Ok();
        var main = server.Server.Repository.Directory;
        TestRepository.Run(main, [], "branch", "other", "main");
        (await server.Admin.PostAsync("/v1/refresh")).Ok();
        (await PutAsync(server.Admin, "dir/a.yml", "x: other\n", ifMatch: "*", query: "?label=other")).Ok();
        (await server.Admin.GetAsync("/v1/files/dir/a.yml?label=other")).Text.ShouldBe("x: other\n");
        (await server.Admin.GetAsync("/v1/files/dir/a.yml")).Text.ShouldBe("x: 1\n");
        (await server.Admin.GetAsync($"/v1/files/dir/a.yml?label={TestRepository.Run(main, [], "rev-parse", "other")}")).Text.ShouldBe("x: other\n");
        (await PutAsync(server.Admin, "dir/a.yml", "x: 1\n", ifMatch: "*", query: "?label=none")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/files/dir")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/files/dir/A.yml")).ShouldBe(404, "not-found");
        (await server.Admin.GetAsync("/v1/files/dir/*.yml")).ShouldBe(404, "not-found");

        (await PutAsync(server.Admin, "Dir/b.yml", "x: 1\n", ifNoneMatch: "*")).ShouldBe(422).Text.ShouldContain("differs from 'Dir' only in case");
        (await PutAsync(server.Admin, "big.txt", new string('x', 1024 * 1024 + 1), ifNoneMatch: "*")).ShouldBe(413, "too-large");
        (await PutAsync(server.Admin, "big.txt", new string('x', 1024 * 1024), ifNoneMatch: "*")).Ok();
    }

    [Fact]
    public async Task A_role_writes_its_own_paths_and_a_denial_is_on_the_record()
    {
        await using var server = await TestServer.StartEmbeddedAsync(o => o with
        {
            Roles = [new() { Name = "team", Permissions = ["config:read", "config:write", "secret:read"], Services = ["a"], Secrets = ["a/**"], Paths = ["a.yml", "a-*.yml"] }],
        });
        (await PutAsync(server.Admin, "application.yml", "y: 1\n", ifNoneMatch: "*")).Ok();
        var team = await server.AsAsync("team");
        (await PutAsync(team, "a.yml", "x: 1\n", ifNoneMatch: "*")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await PutAsync(team, "a.yml", "x: 2\n", ifMatch: "*")).Ok();
        (await team.GetAsync("/v1/files/application.yml")).ShouldBe(403, "forbidden");
        (await PutAsync(team, "b.yml", "x: 1\n", ifNoneMatch: "*")).ShouldBe(403, "forbidden");
        (await PutAsync(team, "a.yml", "x: ${secret:b/db}\n", ifMatch: "*")).ShouldBe(403, "forbidden").Detail.ShouldContain("secret:read on b/db");
        (await SendAsync(await server.AsAsync("viewer"), "DELETE", "a.yml", null, ("If-Match", "*"))).ShouldBe(403, "forbidden");
        (await server.QueryAsync("SELECT action FROM audit WHERE entry LIKE '%denied%' ORDER BY 1")).ShouldBe(["file.delete", "file.read", "file.write", "file.write"]);
    }

    [Fact]
    public async Task Writers_at_once_are_taken_one_by_one_and_none_is_lost()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        (await PutAsync(server.Admin, "0.yml", "x: 0\n", ifNoneMatch: "*")).Ok();
        var answers = await Task.WhenAll(Enumerable.Range(1, 6).Select(n => PutAsync(server.Admin, $"{n}.yml", $"x: {n}\n", ifNoneMatch: "*")));
        foreach (var answer in answers) answer.Ok();
        var same = await Task.WhenAll(Enumerable.Range(1, 4).Select(n => PutAsync(server.Admin, "same.yml", $"x: {n}\n", ifNoneMatch: "*")));
        same.Select(a => a.Status).Order().ShouldBe([200, 412, 412, 412]);
        TestRepository.Run(server.Server.Repository.Directory, [], "ls-tree", "--name-only", "main").Split('\n').Length.ShouldBe(8);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task With_a_remote_the_commit_counts_when_the_remote_has_taken_it()
    {
        using var remote = TestRepository.With(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(remote);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var commit = (await PutAsync(server.Admin, "a.yml", "x: 2\n", ifMatch: "*")).Ok().Json.GetProperty("commit").GetString();
        remote.Git("rev-parse", "main").ShouldBe(commit);
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2");

        // Somebody else was faster: conflict, theirs is there, and the next try is on top of it.
        remote.Git("reset", "--quiet", "--hard");
        var theirs = remote.Commit(("b.yml", "y: 1\n"));
        (await PutAsync(server.Admin, "a.yml", "x: 3\n", ifMatch: "*")).ShouldBe(409, "conflict").Detail.ShouldContain("has moved");
        remote.Git("rev-parse", "main").ShouldBe(theirs);
        (await PutAsync(server.Admin, "a.yml", "x: 3\n", ifMatch: "*")).Ok();
        remote.Git("rev-parse", "main~1").ShouldBe(theirs);
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("3");

        // The remote refuses it.
        var hook = Path.Combine(remote.Path, ".git", "hooks", "update");
        Directory.CreateDirectory(Path.GetDirectoryName(hook)!);
        File.WriteAllText(hook, "#!/bin/sh\necho no thanks >&2\nexit 1\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(hook, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        (await PutAsync(server.Admin, "a.yml", "x: 4\n", ifMatch: "*")).ShouldBe(409, "conflict").Detail.ShouldContain("no thanks");

        // It is gone.
        var release = server.Release;
        Directory.Move(remote.Path, remote.Path + ".away");
        (await PutAsync(server.Admin, "a.yml", "x: 5\n", ifMatch: "*")).ShouldBe(503, "unavailable");
        server.Release.ShouldBe(release);
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("3");
        Directory.Move(remote.Path + ".away", remote.Path);

        // And for git clients the copy is read-only.
        using var clone = GitClone.Clone(server, server.Admin);
        clone.Commit(("a.yml", "x: 6\n"));
        clone.Push().Output.ShouldContain("remote: this repository is a copy and read-only");
    }

    [Fact]
    public async Task Conditions_labels_encodings_and_modes_are_what_clients_expect()
    {
        await using var server = await TestServer.StartEmbeddedAsync();
        var etag = (await PutAsync(server.Admin, "run.sh", "true\n", ifNoneMatch: "*")).Ok().ETag;
        (await server.Admin.GetAsync("/v1/files/run.sh", ("If-None-Match", "W/" + etag))).Status.ShouldBe(304);

        var directory = server.Server.Repository.Directory;
        TestRepository.Run(directory, [], "branch", "feature/x", "main");
        (await server.Admin.PostAsync("/v1/refresh")).Ok();
        (await server.Admin.GetAsync("/v1/files/run.sh?label=feature(_)x")).Ok();
        (await PutAsync(server.Admin, "run.sh", "x\n", ifMatch: "*", query: "?label=feature(_)x")).Ok();
        (await server.Admin.GetAsync("/v1/files/run.sh?label=feature/x")).Ok().Text.ShouldBe("x\n");

        using var clone = GitClone.Clone(server, server.Admin);
        clone.Run("update-index", "--chmod=+x", "run.sh");
        clone.Run("commit", "--quiet", "-m", "executable");
        clone.Push().Exit.ShouldBe(0);
        (await PutAsync(server.Admin, "run.sh", "false\n", ifMatch: etag)).Ok();
        TestRepository.Run(directory, [], "ls-tree", "main", "run.sh").ShouldStartWith("100755");

        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Put, $"{server.Server.Address}/v1/files/a.yml") { Content = new StringContent("x: 1\n") };
        request.Content.Headers.ContentEncoding.Add("gzip");
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + server.Admin.Token);
        request.Headers.TryAddWithoutValidation("If-None-Match", "*");
        using var answer = await http.SendAsync(request);
        ((int)answer.StatusCode).ShouldBe(400);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_write_whose_caller_has_gone_is_live_all_the_same_once_the_branch_has_moved()
    {
        using var remote = TestRepository.With(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(remote);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var (moved, go) = (Path.Combine(remote.Path, ".git", "moved"), Path.Combine(remote.Path, ".git", "go"));
        var hook = Path.Combine(remote.Path, ".git", "hooks", "post-receive");
        Directory.CreateDirectory(Path.GetDirectoryName(hook)!);
        File.WriteAllText(hook, $"#!/bin/sh\n: > '{moved}'\nn=0\nwhile [ ! -e '{go}' ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n+1)); done\n");
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(hook, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        using (var http = new HttpClient())
        using (var patience = new CancellationTokenSource())
        {
            using var request = new HttpRequestMessage(HttpMethod.Put, $"{server.Server.Address}/v1/files/a.yml") { Content = new StringContent("x: 2\n") };
            request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + server.Admin.Token);
            request.Headers.TryAddWithoutValidation("If-Match", "*");
            var put = http.SendAsync(request, patience.Token);
            await Poll.UntilAsync(() => File.Exists(moved), "the remote has taken it");
            await patience.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(() => put);
        }
        File.WriteAllText(go, "");
        await Poll.UntilAsync(() => server.Gate.Lane.Live.Release.Refs["refs/heads/main"] == remote.Git("rev-parse", "main"), "the commit is live");
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("2");
    }

    private static Task<Answer> PutAsync(TestCaller caller, string path, string text, string? ifMatch = null, string? ifNoneMatch = null, string query = "")
    {
        var headers = new List<(string, string)>();
        if (ifMatch is not null) headers.Add(("If-Match", ifMatch));
        if (ifNoneMatch is not null) headers.Add(("If-None-Match", ifNoneMatch));
        return SendAsync(caller, "PUT", path + query, text, [.. headers]);
    }

    private static Task<Answer> SendAsync(TestCaller caller, string method, string path, string? text, params (string, string)[] headers) =>
        caller.SendAsync(method, "/v1/files/" + path, text, headers);
}
