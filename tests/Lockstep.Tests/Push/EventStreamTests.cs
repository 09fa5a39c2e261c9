using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Push;

public sealed class EventStreamTests
{
    [Fact]
    public async Task Events_carry_the_same_frames_with_the_op_and_the_release()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        using var http = Http(server);
        using var events = await OpenAsync(http, server);
        (await NextAsync(events)).Event.ShouldBe("welcome");
        var snapshot = await NextAsync(events);
        (snapshot.Event, snapshot.Id).ShouldBe(("snapshot", $"{server.Release}"));
        snapshot.Data.GetProperty("op").GetString().ShouldBe("snapshot");
        snapshot.Data.GetProperty("values").GetProperty("color").GetString().ShouldBe("red");
        repository.Commit(("shop.yml", "color: \"a\\nb\"\n"));
        await server.RefreshAsync();
        var change = await NextAsync(events);
        (change.Event, change.Id).ShouldBe(("change", $"{server.Release}"));
        change.Data.GetProperty("set").GetProperty("color").GetString().ShouldBe("a\nb");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Who_comes_back_with_the_release_of_another_history_is_told_to_wait()
    {
        using var repository = Repository();
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.GetAsync("/v1/watch?service=shop&env=dev", ("Accept", "text/event-stream"), ("Last-Event-ID", $"{server.Release + 5}"))).ShouldBe(503, "unavailable");
        using var http = Http(server);
        http.DefaultRequestHeaders.Add("Last-Event-ID", $"{server.Release}");
        using var events = await OpenAsync(http, server);
        await NextAsync(events);
        (await NextAsync(events)).Event.ShouldBe("snapshot");
    }

    [Fact]
    public async Task Pings_keep_it_open_and_a_server_that_stops_ends_it()
    {
        using var repository = Repository();
        var time = new ManualTime(timers: true);
        await using var server = await TestServer.StartAsync(repository, time: time);
        using var http = Http(server);
        using var events = await OpenAsync(http, server);
        await NextAsync(events);
        await NextAsync(events);
        var line = events.ReadLineAsync();
        while (!line.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(21));
            await Task.WhenAny(line, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System));
        }
        (await line).ShouldBe(": ping");
        var rest = events.ReadToEndAsync();
        var stopping = server.StopAsync();
        while (!stopping.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            await Task.WhenAny(stopping, Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System));
        }
        (await rest).ShouldContain("event: goodbye");
    }

    private static TestRepository Repository() => TestRepository.With(("shop.yml", "color: red\n"));

    private static HttpClient Http(TestServer server)
    {
        var http = new HttpClient();
        http.DefaultRequestHeaders.Add("Authorization", "Bearer " + server.Admin.Token);
        http.DefaultRequestHeaders.Add("Accept", "text/event-stream");
        return http;
    }

    private static async Task<StreamReader> OpenAsync(HttpClient http, TestServer server) =>
        new(await http.GetStreamAsync(new Uri($"{server.Server.Address}/v1/watch?service=shop&env=dev")));

    private static async Task<(string? Event, string? Id, System.Text.Json.JsonElement Data)> NextAsync(StreamReader events)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var (name, id, data) = ((string?)null, (string?)null, default(System.Text.Json.JsonElement));
        while (await events.ReadLineAsync(deadline.Token) is { Length: > 0 } line)
        {
            if (line.StartsWith("event: ", StringComparison.Ordinal)) name = line[7..];
            else if (line.StartsWith("id: ", StringComparison.Ordinal)) id = line[4..];
            else if (line.StartsWith("data: ", StringComparison.Ordinal)) data = System.Text.Json.JsonElement.Parse(line[6..]);
        }
        return (name, id, data);
    }
}
