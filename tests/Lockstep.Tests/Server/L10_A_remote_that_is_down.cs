using System.Globalization;
using System.Text.Json;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Server;

/// <summary>A Git remote that is down, hangs or was rewritten breaks nothing that is known, and everybody is told how old it is.</summary>
[Trait("speed", "medium")]
public sealed class L10_A_remote_that_is_down
{
    [Fact]
    public async Task An_hour_of_it_is_told_by_head_header_frame_and_probe_and_a_day_of_it_is_the_end()
    {
        using var repository = TestRepository.With(("shop.yml", "n: 1\n"));
        repository.Branch("side");
        repository.Checkout("main");
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time);
        (await server.Admin.ConfigAsync("shop/dev", "?label=side")).Ok();
        await using var watcher = await TestWatcher.ConnectAsync(server, server.Admin.Token);
        await watcher.SubscribeAsync(1, "shop/dev");
        using (new Away(repository))
        {
            var since = time.GetUtcNow();
            for (var minute = 0; minute <= 60; minute += 20, time.Advance(TimeSpan.FromMinutes(20)))
            {
                (await server.Admin.PostAsync("/v1/refresh")).ShouldBe(503, "unavailable").Detail.ShouldContain(repository.Path);
                foreach (var label in new[] { "", "?label=side" })
                {
                    var read = (await server.Admin.ConfigAsync("shop/dev", label)).Ok();
                    read.Value("n").ShouldBe("1");
                    read.Json.GetProperty("stale").GetProperty("since").GetDateTimeOffset().ShouldBe(since, $"minute {minute}");
                    read.Json.GetProperty("stale").GetProperty("reason").GetString()!.ShouldContain(repository.Path);
                    DateTimeOffset.Parse(read.Header("Lockstep-Stale")!, CultureInfo.InvariantCulture).ShouldBe(since);
                }
                (await server.Admin.GetAsync("/readyz")).Ok().Json.GetProperty("checks").GetProperty("repository").GetString()!
                    .ShouldStartWith($"stale for {minute * 60} s: ");
            }
            var frame = await watcher.NextAsync();
            (frame.GetProperty("op").GetString(), frame.GetProperty("since").GetDateTimeOffset()).ShouldBe(("stale", since));
            // Secrets are no business of the remote.
            (await server.PutAsync("one", "v")).Ok();

            time.Advance(TimeSpan.FromHours(23));
            (await server.Admin.ConfigAsync("shop/dev")).ShouldBe(503, "unavailable").Detail.ShouldContain("maxStale");
            (await server.Admin.GetAsync("/readyz")).Ok();
        }
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("shop/dev")).Ok().Header("Lockstep-Stale").ShouldBeNull();
        JsonElement over;
        do over = await watcher.NextAsync();
        while (over.GetProperty("op").GetString() != "stale" || over.GetProperty("since").ValueKind != JsonValueKind.Null);
        (await server.Admin.GetAsync("/readyz")).Ok().Json.GetProperty("checks").GetProperty("repository").GetString().ShouldBe("ok");
    }

    /// <summary>While it lives the repository is not where it was.</summary>
    private sealed class Away : IDisposable
    {
        private readonly string _path;

        public Away(TestRepository repository)
        {
            _path = repository.Path;
            Directory.Move(_path, _path + "-away");
        }

        public void Dispose() => Directory.Move(_path + "-away", _path);
    }
}
