using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

[Trait("speed", "medium")]
public sealed class L7_Reload
{
    [Fact]
    public async Task A_repository_that_cannot_be_read_ends_the_start_with_the_reason()
    {
        using var empty = new TempDirectory();
        foreach (var (url, branch, word) in new[] { (empty.File("nowhere"), "main", "nowhere"), (empty.Path, "main", empty.Path) })
        {
            await using var server = TestServer.Create(url, o => o with { Config = o.Config with { Branch = branch } });
            (await server.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain(word);
        }
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"));
        await using var wrong = TestServer.Create(repository.Path, o => o with { Config = o.Config with { Branch = "trunk" } });
        (await wrong.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("trunk");
        repository.Git("branch", "trunk");
        await wrong.StartAsync();
    }

    [Fact]
    public async Task A_wrong_key_database_or_port_ends_the_start_with_the_reason()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        await using var second = TestServer.Create(repository.Path, o => o with { Data = server.Options.Data });
        (await second.StartAsync().ShouldThrowAsync<LockstepException>()).Code.ShouldBe(ErrorCode.Unavailable);
        await using var third = TestServer.Create(repository.Path, o => o with { Listen = new ListenAddress(false, System.Net.IPAddress.Loopback, new Uri(server.Server.Address).Port) });
        (await third.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("listen");
        await server.StopAsync();

        var key = Path.Combine(server.Options.Data, "master.key");
        var right = await File.ReadAllTextAsync(key);
        foreach (var (text, word) in new[] { (Convert.ToBase64String(RandomNumberGenerator.GetBytes(32)), "master key"), ("not a key", "master.key"), ("", "master.key") })
        {
            await File.WriteAllTextAsync(key, text);
            var error = await server.StartAsync().ShouldThrowAsync<LockstepException>();
            error.Message.ShouldContain(word);
        }
        File.Delete(key);
        (await server.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("master.key");
        await File.WriteAllTextAsync(key, right);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await server.StartAsync();
        await server.ExecuteAsync("UPDATE meta SET number = number + 1000 WHERE name = 'format'");
        await server.StopAsync();
        (await server.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("newer");
    }

    [Fact]
    public async Task A_document_that_breaks_stays_as_it_last_was_while_the_others_move_on()
    {
        using var repository = new TestRepository();
        var first = repository.Commit(("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time);
        foreach (var document in new[] { "a/dev", "b/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        time.Advance(TimeSpan.FromMinutes(1));
        var broken = repository.Commit(("a.yml", "x: 2\ny: [1\n"), ("b.yml", "x: 2\n"));
        var since = time.GetUtcNow();
        (await server.RefreshAsync()).ShouldBe(["a/dev", "b/dev"]);
        server.Release.ShouldBe(2);
        time.Advance(TimeSpan.FromMinutes(5));
        for (var round = 0; round < 2; round++)
        {
            var a = (await server.Admin.ConfigAsync("a/dev")).Ok();
            (a.Value("x"), a.Release, a.Json.GetProperty("commit").GetString()).ShouldBe(("1", 1, first));
            a.Json.GetProperty("stale").GetProperty("since").GetDateTimeOffset().ShouldBe(since);
            a.Json.GetProperty("stale").GetProperty("reason").GetString()!.ShouldContain("a.yml");
            DateTimeOffset.Parse(a.Header("Lockstep-Stale")!, System.Globalization.CultureInfo.InvariantCulture).ShouldBe(since);
            a.Header("Lockstep-Release").ShouldBe("1");
            var b = (await server.Admin.ConfigAsync("b/dev")).Ok();
            (b.Value("x"), b.Release, b.Json.GetProperty("commit").GetString(), b.Header("Lockstep-Stale")).ShouldBe(("2", 2, broken, null));
            var past = await server.Admin.ConfigAsync("a/dev", "?release=2");
            past.ShouldBe(422, "invalid-config");
            past.Json.GetProperty("errors")[0].GetProperty("file").GetString().ShouldBe("a.yml");
            past.Json.GetProperty("errors")[0].GetProperty("line").GetInt32().ShouldBeInRange(2, 3);
            (await server.Admin.ConfigAsync("a/dev", "?release=1")).Ok();
            // The second time after a restart.
            if (round == 0) await server.RestartAsync();
        }
        repository.Commit(("b.yml", "x: 3\n"));
        (await server.RefreshAsync()).ShouldBe(["b/dev"]);
        (await server.Admin.ConfigAsync("a/dev")).Ok().Json.GetProperty("stale").GetProperty("since").GetDateTimeOffset().ShouldBe(since);
        repository.Commit(("a.yml", "x: 2\n"));
        (await server.RefreshAsync()).ShouldBe(["a/dev"]);
        var well = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (well.Value("x"), well.Release, well.Header("Lockstep-Stale")).ShouldBe(("2", 4, null));
        well.Json.GetProperty("stale").GetBoolean().ShouldBeFalse();
    }

    [Theory]
    [InlineData("x: [1\n", null, 1, 2)]
    [InlineData("ok: 1\na: ${b}\nb: ${a}\n", "a", 2, 2)]
    [InlineData("ok: 1\ns: ${secret:no/such}\n", "s", 2, 2)]
    [InlineData("a: 1\na: 2\n", null, 2, 2)]
    public async Task One_that_never_was_valid_is_422_with_file_line_and_key(string text, string? key, int from, int to)
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", text));
        await using var server = await TestServer.StartAsync(repository);
        for (var round = 0; round < 2; round++)
        {
            foreach (var query in new[] { "", "?release=1" })
            {
                var answer = await server.Admin.ConfigAsync("a/dev", query);
                answer.ShouldBe(422, "invalid-config");
                var error = answer.Json.GetProperty("errors")[0];
                error.GetProperty("file").GetString().ShouldBe("a.yml");
                error.GetProperty("line").GetInt32().ShouldBeInRange(from, to);
                if (key is not null) error.GetProperty("key").GetString().ShouldBe(key);
            }
            await server.RestartAsync();
        }
        repository.Commit(("a.yml", "x: 1\n"));
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Value("x").ShouldBe("1");
    }

    [Fact]
    public async Task A_huge_file_breaks_its_documents_alone()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"), ("b.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var document in new[] { "a/dev", "b/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        repository.Commit(("a.yml", "x: 2\ny: " + new string('y', 10_000_000) + "\n"), ("b.yml", "x: 2\n"));
        await server.RefreshAsync();
        var a = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (a.Value("x"), a.Header("Lockstep-Stale") is null).ShouldBe(("1", false));
        (await server.Admin.ConfigAsync("b/dev")).Ok().Value("x").ShouldBe("2");
    }

    [Fact]
    public async Task The_same_data_changes_no_document()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\ns: ${secret:one}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("one", "v")).Ok();
        var before = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (await server.RefreshAsync()).ShouldBeEmpty();
        server.Release.ShouldBe(2);
        repository.CommitAll("nothing in it");
        (await server.RefreshAsync()).ShouldBeEmpty();
        repository.Commit(("a.yml", "# a remark\nx:   1\ns: \"${secret:one}\"\n"));
        (await server.RefreshAsync()).ShouldBeEmpty();
        (await server.PutValueAsync("one", "v")).Ok();
        server.Release.ShouldBe(5);
        var after = (await server.Admin.ConfigAsync("a/dev", "", before.ETag));
        after.ShouldBe(304);
        after.Header("Lockstep-Release").ShouldBe("5");
        (await server.Admin.GetAsync("/v1/config/a/dev/history")).Ok().Json.GetProperty("items").GetArrayLength().ShouldBe(0);
    }

    [Fact]
    public async Task When_the_branch_is_gone_what_it_was_is_served_as_stale_until_it_is_back()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        repository.Branch("other");
        repository.DeleteBranch("main");
        (await server.RefreshAsync()).ShouldBeEmpty();
        var stale = (await server.Admin.ConfigAsync("a/dev")).Ok();
        stale.Value("x").ShouldBe("1");
        stale.Json.GetProperty("stale").GetProperty("reason").GetString()!.ShouldContain("main");
        (await server.Admin.ConfigAsync("a/dev", "?label=other")).Ok();
        repository.Branch("main");
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("a/dev")).Ok().Header("Lockstep-Stale").ShouldBeNull();
    }

    [Fact]
    public async Task A_remote_that_is_down_is_no_reason_not_to_start_once_there_is_a_mirror()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "x: 1\n"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time);
        (await server.Admin.ConfigAsync("a/dev")).Ok();
        await server.StopAsync();
        var away = repository.Path + "-away";
        Directory.Move(repository.Path, away);
        try
        {
            await server.StartAsync();
            var stale = (await server.Admin.ConfigAsync("a/dev")).Ok();
            stale.Value("x").ShouldBe("1");
            stale.Json.GetProperty("stale").GetProperty("since").GetDateTimeOffset().ShouldBe(time.GetUtcNow());
            (await server.Admin.GetAsync("/readyz")).Ok().Text.ShouldContain("stale");
            (await server.Admin.PostAsync("/v1/refresh")).ShouldBe(503, "unavailable");
            time.Advance(TimeSpan.FromHours(25));
            (await server.Admin.ConfigAsync("a/dev")).ShouldBe(503, "unavailable");
        }
        finally
        {
            Directory.Move(away, repository.Path);
        }
        repository.Commit(("a.yml", "x: 2\n"));
        (await server.RefreshAsync()).ShouldBe(["a/dev"]);
        var fresh = (await server.Admin.ConfigAsync("a/dev")).Ok();
        (fresh.Value("x"), fresh.Header("Lockstep-Stale")).ShouldBe(("2", null));
    }

    [Fact]
    public async Task A_damaged_secret_breaks_its_documents_alone()
    {
        using var repository = new TestRepository();
        repository.Commit(("a.yml", "s: ${secret:one}\n"), ("b.yml", "s: ${secret:two}\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var secret in new[] { "one", "two" }) (await server.PutAsync(secret, "v")).Ok();
        foreach (var document in new[] { "a/dev", "b/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        await server.ExecuteAsync("UPDATE secret_versions SET ciphertext = wrapped_key WHERE id = 'one'");
        await server.RestartAsync();
        (await server.Admin.ConfigAsync("a/dev")).ShouldBe(422, "invalid-config").Text.ShouldContain("does not decrypt");
        (await server.Admin.ConfigAsync("b/dev")).Ok().Value("s").ShouldBe("v");
        repository.Commit(("a.yml", "t: ${secret:one}\n"), ("b.yml", "t: ${secret:two}\n"));
        (await server.RefreshAsync()).ShouldBe(["b/dev"]);
    }
}
