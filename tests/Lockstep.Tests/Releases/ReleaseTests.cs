using System.Globalization;
using Lockstep.Releases;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

[Trait("speed", "medium")]
public sealed class ReleaseTests
{
    [Fact]
    public async Task Releases_are_numbered_without_gaps_and_name_who_what_and_where()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.PutAsync("one", "v1")).Ok();
        (await server.Admin.PutAsync("/v1/secrets/one", new { value = "v", cas = 9 })).ShouldBe(412);
        (await server.Admin.PutAsync("/v1/secrets/one?activate=false", new { value = "staged" })).Ok().Json.GetProperty("release").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.Null);
        var commit = repository.Commit(("a.yml", "x: 2\nnew: 1\n"));
        await server.RefreshAsync();
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = 1 })).Ok();
        (await server.Admin.DeleteAsync("/v1/config/a/dev/pin")).Ok();
        (await server.Admin.DeleteAsync("/v1/config/a/dev/pin")).ShouldBe(404);

        var releases = (await server.Admin.GetAsync("/v1/releases")).Ok().Json.GetProperty("items").EnumerateArray().ToList();
        releases.Select(r => r.GetProperty("release").GetInt64()).ShouldBe([5, 4, 3, 2, 1]);
        releases.Select(r => r.GetProperty("kind").GetString()).ShouldBe(["pin", "pin", "git", "secret", "git"]);
        releases[2].GetProperty("commit").GetString().ShouldBe(commit);
        releases[2].GetProperty("by").GetString()!.ShouldContain("Ann Author");
        releases[2].GetProperty("message").GetString().ShouldBe("change");
        releases[2].GetProperty("keys").EnumerateArray().Select(k => k.GetString()).ShouldBe(["new", "x"]);
        releases[3].GetProperty("by").GetString().ShouldBe(server.Admin.Name);
        releases[2].TryGetProperty("documents", out _).ShouldBeFalse();
        (await server.Admin.GetAsync("/v1/releases/3")).Ok().Text.ShouldBe(
            releases[2].GetRawText()[..^1] + ""","documentCount":1,"documents":[{"service":"a","environment":"dev","label":"main","keys":["new","x"],"valid":true}]}""");
        var pages = new List<long>();
        for (string? next = "6"; next is not null;)
        {
            var page = (await server.Admin.GetAsync($"/v1/releases?limit=2&before={next}")).Ok().Json;
            pages.AddRange(page.GetProperty("items").EnumerateArray().Select(r => r.GetProperty("release").GetInt64()));
            next = page.GetProperty("next").GetString();
        }
        pages.ShouldBe([5, 4, 3, 2, 1]);
        (await server.QueryAsync("SELECT release FROM journal WHERE release IS NOT NULL ORDER BY release")).ShouldBe(["1", "2", "3", "4", "5"]);
    }

    [Fact]
    public async Task History_and_diff_tell_keys_and_versions_and_no_values_of_secrets()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "hidden1")).Ok();
        repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\nold: true\n"));
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.PutValueAsync("one", "hidden2")).Ok();
        repository.Commit(("a.yml", "x: 2\ns: pre-${secret:one}\nnew: [1, 2]\n"));
        await server.RefreshAsync();
        repository.Commit(("b.yml", "other: 1\n"));
        await server.RefreshAsync();

        var history = (await server.Admin.GetAsync("/v1/config/a/dev/history")).Ok().Json.GetProperty("items").EnumerateArray().ToList();
        history.Select(r => r.GetProperty("release").GetInt64()).ShouldBe([5, 4]);
        history[0].GetProperty("keys").EnumerateArray().Select(k => k.GetString()).ShouldBe(["new[0]", "new[1]", "old", "s", "x"]);
        history[1].GetProperty("keys").EnumerateArray().Select(k => k.GetString()).ShouldBe(["s"]);
        var first = (await server.Admin.GetAsync("/v1/config/a/dev/history?limit=1")).Ok().Json;
        (await server.Admin.GetAsync("/v1/config/a/dev/history?limit=1&before=" + first.GetProperty("next").GetString())).Ok()
            .Json.GetProperty("items")[0].GetProperty("release").GetInt64().ShouldBe(4);

        var diff = (await server.Admin.GetAsync("/v1/config/a/dev/diff?from=3&to=5")).Ok();
        diff.Text.ShouldNotContain("hidden");
        diff.Json.GetProperty("added").EnumerateArray().Select(k => k.GetString()).ShouldBe(["new[0]", "new[1]"]);
        diff.Json.GetProperty("removed").EnumerateArray().Select(k => k.GetString()).ShouldBe(["old"]);
        diff.Json.GetProperty("changed").GetRawText().ShouldBe("""[{"key":"s","from":{"secrets":{"one":1}},"to":{"secrets":{"one":2}}},{"key":"x","from":1,"to":2}]""");
        (await server.Admin.GetAsync("/v1/config/a/dev/diff?from=5&to=5")).Ok().Json.GetProperty("changed").GetArrayLength().ShouldBe(0);
        (await server.Admin.GetAsync("/v1/config/nothing/dev/diff?from=1&to=2")).ShouldBe(404);
    }

    [Fact]
    public async Task A_pin_holds_config_and_secrets_of_one_document_until_it_is_taken_away()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "v1")).Ok();
        var commit = repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        await server.RefreshAsync();
        var was = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.Admin.ConfigAsync("a/prod")).Ok();
        (await server.PutValueAsync("one", "v2")).Ok();
        repository.Commit(("a.yml", "x: 2\ns: ${secret:one}\n"));
        await server.RefreshAsync();

        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = was.Release })).Ok().Json.GetProperty("changed").GetArrayLength().ShouldBe(1);
        for (var round = 0; round < 2; round++)
        {
            var pinned = (await server.Admin.ConfigAsync("a/dev")).Ok();
            pinned.ETag.ShouldBe(was.ETag);
            (pinned.Release, pinned.Json.GetProperty("pinned").GetInt64(), pinned.Json.GetProperty("commit").GetString()).ShouldBe((server.Release, was.Release, commit));
            (await server.Admin.ConfigAsync("a/prod")).Ok().Value("s").ShouldBe("v2");
            (await server.Admin.ConfigAsync("a/prod")).Ok().Json.TryGetProperty("pinned", out _).ShouldBeFalse();
            (await server.Admin.ConfigAsync("a/dev", "?label=other")).Status.ShouldBe(404);
            await server.RestartAsync();
        }
        repository.Commit(("a.yml", "x: 3\n"));
        (await server.RefreshAsync()).ShouldBe(["a/prod"]);
        (await server.PutValueAsync("one", "v3")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().ETag.ShouldBe(was.ETag);
        // A pin to a release at which it was pinned leads to the same.
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = server.Release })).Ok().Json.GetProperty("changed").GetArrayLength().ShouldBe(0);
        (await server.Admin.ConfigAsync("a/dev")).Ok().ETag.ShouldBe(was.ETag);
        (await server.Admin.DeleteAsync("/v1/config/a/dev/pin")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("3");
        foreach (var to in new[] { 0, -1 }) (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to })).ShouldBe(400);
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = 999 })).ShouldBe(404);
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback?label=main", new { to = 1 })).ShouldBe(400);
    }

    [Fact]
    public async Task What_was_purged_is_not_served_from_the_past_any_more_and_not_pinned_to()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "gone")).Ok();
        repository.Commit(("a.yml", "s: ${secret:one}\n"));
        await server.RefreshAsync();
        var release = (await server.Admin.ConfigAsync("a/dev")).Ok().Release;
        (await server.Admin.ConfigAsync("a/dev", $"?release={release}")).Ok().Value("s").ShouldBe("gone");
        (await server.Admin.DeleteAsync("/v1/secrets/one?purge=true")).ShouldBe(409, "conflict").Text.ShouldContain("a/dev");
        (await server.Admin.DeleteAsync("/v1/secrets/one?purge=true&force=true")).ShouldBe(204);
        (await server.Admin.ConfigAsync("a/dev")).ShouldBe(422);
        (await server.Admin.ConfigAsync("a/dev", $"?release={release}")).ShouldBe(422);
        // The id lives again, with another value: the old version stays gone.
        (await server.PutAsync("one", "new")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("new");
        (await server.Admin.ConfigAsync("a/dev", $"?release={release}")).ShouldBe(422, "invalid-config");
        (await server.Admin.PostAsync("/v1/config/a/dev/rollback", new { to = release })).ShouldBe(409, "conflict");
        (await server.Admin.GetAsync("/v1/secrets/one?version=1")).ShouldBe(404);
    }

    [Fact]
    public async Task A_deleted_secret_is_not_served_stale_and_comes_back_when_restored()
    {
        using var repository = Repository();
        repository.Commit(("a.yml", "s: ${secret:one}\n"), ("c.yml", "s: ${secret:one#f}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.PutAsync("/v1/secrets/one", new { value = new { f = "v" }, cas = 0 })).Ok();
        foreach (var document in new[] { "a/dev", "c/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        var refused = await server.Admin.DeleteAsync("/v1/secrets/one");
        refused.ShouldBe(409, "conflict");
        refused.Detail.ShouldContain("a/dev");
        refused.Detail.ShouldContain("c/dev");
        refused.Json.GetProperty("errors").GetArrayLength().ShouldBe(2);
        (await server.Admin.DeleteAsync("/v1/secrets/one?force=false")).ShouldBe(409);
        (await server.Admin.PutAsync("/v1/secrets/one", new { value = "no field" })).ShouldBe(409).Detail.ShouldNotContain("a/dev");
        (await server.Admin.DeleteAsync("/v1/secrets/one?force=true")).ShouldBe(204);
        (await server.Admin.ConfigAsync("a/dev")).ShouldBe(422);
        await server.RestartAsync();
        (await server.Admin.ConfigAsync("a/dev")).ShouldBe(422);
        (await server.Admin.GetAsync("/v1/secrets/one")).ShouldBe(404);
        (await server.Admin.PostAsync("/v1/secret-restores/one")).Ok();
        (await server.Admin.PostAsync("/v1/secret-restores/one")).ShouldBe(409);
        (await server.Admin.ConfigAsync("c/dev")).Ok().Value("s").ShouldBe("v");
        // Forced: the one document breaks and stays as it was, the other follows.
        (await server.Admin.PutAsync("/v1/secrets/one?force=true", new { value = "no field" })).Ok();
        var stale = (await server.Admin.ConfigAsync("c/dev")).Ok();
        (stale.Value("s"), stale.Header("Lockstep-Stale") is null).ShouldBe(("v", false));
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("s").ShouldBe("no field");
        (await server.Admin.PostAsync("/v1/secret-activations/one", new { version = 1 })).Ok();
        (await server.Admin.ConfigAsync("c/dev")).Ok().Header("Lockstep-Stale").ShouldBeNull();
        (await server.Admin.PostAsync("/v1/secret-activations/one", new { version = 2 })).ShouldBe(409);
        (await server.Admin.PostAsync("/v1/secret-activations/one", new { version = 9 })).ShouldBe(404);
    }

    [Fact]
    public async Task A_label_is_a_branch_a_tag_or_a_commit()
    {
        using var repository = Repository();
        var first = repository.Head;
        repository.Tag("v1");
        repository.Tag("v1-annotated", annotated: true);
        repository.Branch("feature/x");
        var feature = repository.Commit(("a.yml", "x: feature\n"));
        repository.Checkout("main");
        var second = repository.Commit(("a.yml", "x: 2\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var (label, value, commit) in new[]
        {
            ("v1", "1", first), ("v1-annotated", "1", first), ("feature%2Fx", "feature", feature), ("feature(_)x", "feature", feature), (first, "1", first), (first[..8], "1", first), (second, "2", second),
        })
        {
            var answer = (await server.Admin.ConfigAsync("a/dev", "?label=" + label)).Ok();
            (answer.Value("x"), answer.Json.GetProperty("commit").GetString()).ShouldBe((value, commit), label);
            // A commit is named by its full id, however it was asked for.
            answer.Json.GetProperty("label").GetString().ShouldBe(commit.StartsWith(label, StringComparison.Ordinal) ? commit : Uri.UnescapeDataString(label).Replace("(_)", "/", StringComparison.Ordinal));
        }
        var tracked = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.Admin.ConfigAsync("a/dev", "?label=main")).Ok().Text.ShouldBe(tracked.Text);
        server.Gate.Lane.Live.Documents.Keys.ShouldNotContain(k => k.Label == "main");
        // Both spellings of a branch are one document, for watchers too.
        server.Gate.Lane.Live.Documents.Keys.Count(k => k.Label is not null && k.Label.StartsWith("feature", StringComparison.Ordinal)).ShouldBe(1);
        await using (var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token))
        {
            (await watcher.SubscribeAsync(1, "a/dev", "feature(_)x")).GetProperty("label").GetString().ShouldBe("feature/x");
            (await server.Admin.GetAsync("/v1/fleet/a/dev?label=feature%2Fx")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(1);
        }
        foreach (var label in new[] { "nothing", "0123456789", "HEAD", "refs/heads/main", "main~1", "--help", "a b", "x:y", "%00" }) (await server.Admin.ConfigAsync("a/dev", "?label=" + label)).Status.ShouldBeOneOf([400, 404], label);
        (await server.Admin.ConfigAsync("a/dev", "?label=")).ShouldBe(400);

        // A branch moves, is forced back, and goes; the tag is moved.
        repository.Checkout("feature/x");
        repository.Commit(("a.yml", "x: further\n"));
        repository.Tag("v1");
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev", "?label=feature%2Fx")).Ok().Value("x").ShouldBe("further");
        (await server.Admin.ConfigAsync("a/dev", "?label=v1")).Ok().Value("x").ShouldBe("further");
        repository.ForceTo(first);
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev", "?label=feature%2Fx")).Ok().Value("x").ShouldBe("1");
        repository.Checkout("main");
        repository.DeleteBranch("feature/x");
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev", "?label=feature%2Fx")).Ok().Header("Lockstep-Stale").ShouldNotBeNull();
        (await server.Admin.ConfigAsync("a/dev", "?label=feature%2Fx&release=1")).Ok().Value("x").ShouldBe("feature");
        // The commit that a force-push left behind is kept because a release names it.
        (await server.Admin.ConfigAsync("a/dev", "?label=" + feature)).Ok().Value("x").ShouldBe("feature");
    }

    [Fact]
    public async Task Known_documents_are_those_served_or_listed_and_age()
    {
        using var repository = Repository();
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, o => o with { Known = [new KnownDocument("listed", "dev")] }, time);
        (await server.Admin.ConfigAsync("listed/dev")).Ok().Value("shared").ShouldBe("1");
        (await server.Admin.ConfigAsync("listed/prod")).ShouldBe(404, "not-found");
        (await server.Admin.ConfigAsync("nofile/dev")).ShouldBe(404).Detail.ShouldContain("nofile");
        (await server.Admin.ConfigAsync("nofile/dev", "?release=1")).ShouldBe(404);
        (await server.Admin.ConfigAsync("application/dev")).Ok();
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.Admin.ConfigAsync("b/dev")).Ok();
        Known(server).ShouldBe(["a/dev", "application/dev", "b/dev", "listed/dev"]);
        await server.RestartAsync();
        Known(server).ShouldBe(["a/dev", "application/dev", "b/dev", "listed/dev"]);
        time.Advance(TimeSpan.FromDays(20));
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        time.Advance(TimeSpan.FromDays(11));
        await server.Gate.Lane.ForgetAsync(time.GetUtcNow() - KnownDocuments.Retention, CancellationToken.None);
        Known(server).ShouldBe(["a/dev", "listed/dev"]);
        await server.RestartAsync();
        // Nobody wrote down yet that a/dev was served again: the row is as old as the first reading.
        Known(server).ShouldContain("listed/dev");
        repository.Commit(("application.yml", "shared: 2\n"));
        (await server.RefreshAsync()).ShouldContain("listed/dev");

        // A service that loses its file stays known; one that gets it changes.
        repository.Delete("b.yml");
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("b/dev")).ShouldBe(404);
    }

    [Fact]
    public async Task An_if_none_match_list_or_star_is_understood()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        var etag = (await server.Admin.ConfigAsync("a/dev")).Ok().ETag;
        foreach (var (header, status) in new[]
        {
            (etag, 304), (etag[2..], 304), ("*", 304), ($"\"a\", {etag} , \"b\"", 304), ("\"a\"", 200), ("W/\"a\"", 200), (etag.Trim('"'), 200), ("", 200), (",", 200),
        })
        {
            var answer = await server.Admin.ConfigAsync("a/dev", "", header);
            answer.Status.ShouldBe(status, header);
            answer.ETag.ShouldBe(etag);
            answer.Header("Lockstep-Release").ShouldBe("1");
            if (status == 304) answer.Body.ShouldBeEmpty();
        }
        (await server.Nobody.ConfigAsync("a/dev", "", etag)).ShouldBe(401);
        (await (await server.AsAsync("reader", t => t with { Services = ["b"] })).ConfigAsync("a/dev", "", "*")).ShouldBe(403);
    }

    [Fact]
    public async Task Whoever_refreshes_sees_what_was_committed_before_however_many_refresh()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        var newest = 0;
        using var done = new CancellationTokenSource();
        var writer = Task.Run(() =>
        {
            for (var n = 1; n <= 40; n++)
            {
                repository.Commit(("a.yml", $"x: {n}\n"));
                Volatile.Write(ref newest, n);
            }
            done.Cancel();
        });
        await Task.WhenAll(Enumerable.Range(0, 6).Select(async _ =>
        {
            while (!done.IsCancellationRequested)
            {
                var at = Volatile.Read(ref newest);
                (await server.Admin.PostAsync("/v1/refresh")).Ok();
                int.Parse((await server.Admin.ConfigAsync("a/dev")).Ok().Value("x")!, CultureInfo.InvariantCulture).ShouldBeGreaterThanOrEqualTo(at);
            }
        }));
        await writer;
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("40");
        (await server.QueryAsync("SELECT commit_id FROM refs ORDER BY release")).ShouldBeUnique();
    }

    private static string[] Known(TestServer server) => [.. server.Gate.Lane.Live.Documents.Keys.Select(k => k.ToString()).Order(StringComparer.Ordinal)];

    private static TestRepository Repository()
    {
        var repository = new TestRepository();
        repository.Commit(("application.yml", "shared: 1\n"), ("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"));
        return repository;
    }
}
