using System.Diagnostics;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>L10 and L7 with a repository that is reached over a network which fails.</summary>
[Trait("speed", "medium")]
public sealed class GitRemoteTests
{
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task What_is_pushed_is_served_after_a_refresh_and_what_was_served_stays_when_the_remote_dies()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url });
        using var scratch = new Scratch();
        using var copy = await WorkingCopy.CloneAsync(remote.Url, scratch["copy"]);
        (await GetAsync(server)).ShouldBe("0");
        var commit = await copy.PushAsync("shop.yml", "n: 1\n");
        (await server.RunAsync("refresh")).Ok().ShouldContain("shop/production");
        (await GetAsync(server)).ShouldBe("1");
        (await server.RunAsync("config", "history", "-s", "shop", "-e", "production")).Ok().ShouldContain(commit[..7]);

        remote.Link.Become(LinkState.Down);
        var failed = await server.RunAsync("refresh");
        failed.ExitCode.ShouldBe(6);
        failed.Error.ShouldContain(remote.Url);
        var read = await server.RunAsync("config", "get", "n", "-s", "shop", "-e", "production");
        read.Ok().Trim().ShouldBe("1");
        read.Error.ShouldContain("not up to date since");
        read.Error.ShouldContain(remote.Url);
        var (status, readiness) = await server.ReadinessAsync();
        status.ShouldBe(System.Net.HttpStatusCode.OK, "a dead remote is no reason to turn requests away");
        readiness.ShouldContain("stale for");
        await Tool.UntilAsync(async () => StaleSeconds(await server.MetricsAsync()) > 0, s_soon, "the metric tells how old it is");

        // A start with a mirror needs no remote.
        await server.KillAsync();
        await server.StartAgainAsync();
        (await GetAsync(server)).ShouldBe("1");
        (await SnapshotAsync(server)).Stale!.Reason.ShouldContain(remote.Url);

        remote.Link.Become(LinkState.Up);
        await copy.PushAsync("shop.yml", "n: 2\n");
        (await server.RunAsync("refresh")).Ok();
        (await GetAsync(server)).ShouldBe("2");
        (await SnapshotAsync(server)).Stale.ShouldBeNull();
        StaleSeconds(await server.MetricsAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_remote_that_hangs_slows_no_reader_and_is_followed_again_by_itself()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url, Refresh = "1s" });
        using var api = server.Api();
        await api.GetConfigAsync("shop", "production");
        remote.Link.Become(LinkState.Hanging);
        await Tool.UntilAsync(() => Task.FromResult(remote.Link.Hanging > 0), s_soon, "a fetch hangs");
        var refresh = server.RunAsync("refresh");
        var slowest = TimeSpan.Zero;
        for (var n = 0; n < 50; n++)
        {
            var clock = Stopwatch.StartNew();
            await api.GetConfigAsync("shop", "production");
            // A document that was never asked for, which is read from the mirror.
            await api.GetConfigAsync("shop", $"env{n}");
            await api.PutSecretAsync($"s/{n}", new() { Value = System.Text.Json.JsonSerializer.SerializeToElement("v"), Cas = 0 });
            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
        }
        slowest.ShouldBeLessThan(TimeSpan.FromSeconds(5));
        refresh.IsCompleted.ShouldBeFalse("it waits for the remote");

        remote.Link.Become(LinkState.Up);
        await refresh;
        await remote.Repository.CommitAsync("shop.yml", "n: 1\n");
        await Tool.UntilAsync(async () => await GetAsync(server) == "1", s_soon, "the server follows the remote again");
        (await SnapshotAsync(server)).Stale.ShouldBeNull();
    }

    [Fact]
    public async Task A_stop_does_not_wait_for_a_remote_that_hangs()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url, Refresh = "1s" });
        remote.Link.Become(LinkState.Hanging);
        await Tool.UntilAsync(() => Task.FromResult(remote.Link.Hanging > 0), s_soon, "a fetch hangs");
        (await server.StopAsync()).ShouldBe(0, server.Log);
        remote.Link.Become(LinkState.Up);
        await server.StartAgainAsync();
        (await GetAsync(server)).ShouldBe("0");
    }

    [Fact]
    [Trait("speed", "long")]
    public async Task A_refresh_of_a_remote_that_hangs_ends_in_bounded_time()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url });
        (await GetAsync(server)).ShouldBe("0");
        remote.Link.Become(LinkState.Hanging);
        var refresh = await server.RunAsync("refresh");
        refresh.ExitCode.ShouldBe(6);
        refresh.Error.ShouldContain("30s");
        await Tool.UntilAsync(async () => (await SnapshotAsync(server)).Stale is not null, TimeSpan.FromSeconds(60), "readers are told why");
        (await SnapshotAsync(server)).Stale!.Reason.ShouldContain(remote.Url);
    }

    [Fact]
    public async Task A_commit_that_breaks_one_document_holds_no_other_back()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n"), ("mailer.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url });
        (await GetAsync(server)).ShouldBe("0");
        (await GetAsync(server, "mailer")).ShouldBe("0");
        await remote.Repository.CommitAsync([("shop.yml", "n: 1\n  bad: [\n"), ("mailer.yml", "n: 1\n")]);
        (await server.RunAsync("refresh")).Ok();
        (await GetAsync(server, "mailer")).ShouldBe("1");
        var read = await server.RunAsync("config", "get", "n", "-s", "shop", "-e", "production");
        read.Ok().Trim().ShouldBe("0");
        read.Error.ShouldContain("shop.yml:2");
        var asked = await server.RunAsync("config", "get", "-s", "shop", "-e", "never-read-before");
        asked.ExitCode.ShouldBe(1);
        asked.Error.ShouldContain("shop.yml:2");

        await server.KillAsync();
        await server.StartAgainAsync();
        (await GetAsync(server)).ShouldBe("0");
        (await GetAsync(server, "mailer")).ShouldBe("1");
        await remote.Repository.CommitAsync("shop.yml", "n: 2\n");
        (await server.RunAsync("refresh")).Ok();
        (await GetAsync(server)).ShouldBe("2");
        (await SnapshotAsync(server)).Stale.ShouldBeNull();
    }

    [Fact]
    public async Task A_branch_that_is_deleted_and_a_history_that_is_rewritten_leave_readers_served()
    {
        await using var remote = await RemoteGit.StartAsync([("shop.yml", "n: 0\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = remote.Url });
        (await GetAsync(server)).ShouldBe("0");
        var first = (await remote.Repository.GitAsync("rev-parse", "main")).Ok().Trim();
        await remote.Repository.CommitAsync("shop.yml", "n: 1\n");
        (await server.RunAsync("refresh")).Ok();
        (await remote.Repository.GitAsync("update-ref", "-d", "refs/heads/main")).Ok();
        (await server.RunAsync("refresh")).ExitCode.ShouldBeOneOf(0, 6);
        (await GetAsync(server)).ShouldBe("1");
        (await SnapshotAsync(server)).Stale!.Reason.ShouldContain("main");
        await server.KillAsync();
        await server.StartAgainAsync();
        (await GetAsync(server)).ShouldBe("1");

        (await remote.Repository.GitAsync("update-ref", "refs/heads/main", first)).Ok();
        (await server.RunAsync("refresh")).Ok();
        (await GetAsync(server)).ShouldBe("0");
    }

    [Fact]
    public async Task An_empty_repository_is_served_as_empty_until_something_is_pushed()
    {
        using var scratch = new Scratch();
        (await Tool.RunAsync("git", "init", "--quiet", "--bare", "--initial-branch=main", scratch["config.git"])).Ok();
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = scratch["config.git"], Settings = "known: [ { service: mailer, environment: production } ]" });
        server.Log.ShouldContain("no branches yet");
        (await server.RunAsync("config", "get", "-s", "shop", "-e", "production")).ExitCode.ShouldBe(3);
        (await server.RunAsync("config", "get", "-s", "mailer", "-e", "production", "--json")).Ok().ShouldContain("\"values\":{}");
        (await server.RunAsync(["secret", "set", "shop/db"], "kept")).Ok();

        using var copy = await WorkingCopy.CloneAsync(scratch["config.git"], scratch["copy"]);
        await copy.PushAsync("shop.yml", "n: 1\n");
        (await server.RunAsync("refresh")).Ok();
        (await GetAsync(server)).ShouldBe("1");
    }

    private static double StaleSeconds(string metrics) =>
        double.Parse(metrics.Split('\n').Single(l => l.StartsWith("lockstep_repository_stale_seconds ", StringComparison.Ordinal)).Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);

    private static async Task<string> GetAsync(PublishedServer server, string service = "shop") =>
        (await SnapshotAsync(server, service)).Values["n"].GetRawText();

    private static async Task<Snapshot> SnapshotAsync(PublishedServer server, string service = "shop")
    {
        using var api = server.Api();
        return (await api.GetConfigAsync(service, "production")).Snapshot!;
    }
}
