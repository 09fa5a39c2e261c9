using System.Net.Sockets;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>SIGTERM: what is under way is finished, what comes later is refused, and the status is 0.</summary>
[Trait("speed", "medium")]
public sealed class ShutdownTests
{
    [Fact]
    public async Task A_request_that_is_half_sent_is_still_answered()
    {
        await using var server = await PublishedServer.StartAsync();
        using var socket = new TcpClient();
        await socket.ConnectAsync(server.Address.Host, server.Address.Port);
        await using var stream = socket.GetStream();
        const string Body = """{"value":"late","cas":0}""";
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"PUT /v1/secrets/late HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {server.Token}\r\nContent-Type: application/json\r\nContent-Length: {Body.Length}\r\nExpect: 100-continue\r\n\r\n"));
        using var reader = new StreamReader(stream, Encoding.ASCII);
        // The server says so when it begins to read: the request is under way for certain.
        (await reader.ReadLineAsync())!.ShouldContain("100 Continue");
        await reader.ReadLineAsync();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(Body[..5]));

        var stopped = server.StopAsync();
        await Tool.UntilAsync(async () => !await AnswersAsync(server), TimeSpan.FromSeconds(20), "new connections are refused");
        await stream.WriteAsync(Encoding.ASCII.GetBytes(Body[5..]));
        (await reader.ReadLineAsync())!.ShouldContain(" 200 ");
        (await stopped).ShouldBe(0, server.Log);

        await server.StartAgainAsync();
        (await server.RunAsync("secret", "get", "late")).Ok().Trim().ShouldBe("late");
    }

    [Fact]
    public async Task Under_load_every_answer_is_whole_and_what_was_answered_is_kept()
    {
        await using var server = await PublishedServer.StartAsync();
        var written = 0;
        var clients = Enumerable.Range(0, 6).Select(async n =>
        {
            using var api = server.Api();
            for (var version = 0; ; version++)
            {
                try
                {
                    (await api.PutSecretAsync($"own/{n}", new() { Value = JsonSerializer.SerializeToElement($"{version}"), Cas = version })).Version.ShouldBe(version + 1);
                    Interlocked.Increment(ref written);
                }
                catch (LockstepException e)
                {
                    return (n, version, e);
                }
            }
        }).ToList();
        await Tool.UntilAsync(() => Task.FromResult(Volatile.Read(ref written) > 100), TimeSpan.FromSeconds(60), "writes are under way");
        (await server.StopAsync()).ShouldBe(0, server.Log);
        var ends = await Task.WhenAll(clients);

        await server.StartAgainAsync();
        using var check = server.Api();
        foreach (var (n, versions, e) in ends)
        {
            e.Code.ShouldBe(ErrorCode.Unavailable, e.ToString());
            // The write that got no answer may have been the last one under way.
            (await check.GetSecretAsync($"own/{n}")).Versions.Count.ShouldBeOneOf(versions, versions + 1);
        }
        (await check.VerifyAuditAsync()).Valid.ShouldBeTrue();
        server.Log.ShouldNotContain("\"Error\"");
    }

    [Fact]
    public async Task While_it_drains_it_serves_and_is_not_ready_and_then_watchers_are_sent_away()
    {
        await using var server = await PublishedServer.StartAsync(new() { Settings = "drain: 4s" });
        using var socket = new ClientWebSocket();
        socket.Options.AddSubProtocol("lockstep.v1");
        socket.Options.SetRequestHeader("Authorization", "Bearer " + server.Token);
        await socket.ConnectAsync(new Uri(server.Address.ToString().Replace("http", "ws", StringComparison.Ordinal) + "v1/watch"), CancellationToken.None);
        var buffer = new byte[64 * 1024];
        await socket.SendAsync("""{"op":"hello"}"""u8.ToArray(), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        (await socket.ReceiveAsync(buffer, CancellationToken.None)).MessageType.ShouldBe(WebSocketMessageType.Text);

        var stopped = server.StopAsync();
        await Tool.UntilAsync(async () => (await server.ReadinessAsync()).Text.Contains("stopping", StringComparison.Ordinal), TimeSpan.FromSeconds(20), "readiness is refused");
        using var answer = await server.Client.GetAsync(new Uri("/v1/whoami", UriKind.Relative));
        ((int)answer.StatusCode).ShouldBe(200);
        answer.Headers.ConnectionClose.ShouldBe(true);
        stopped.IsCompleted.ShouldBeFalse();
        socket.State.ShouldBe(WebSocketState.Open);

        WebSocketReceiveResult received;
        do received = await socket.ReceiveAsync(buffer, CancellationToken.None);
        while (received.MessageType != WebSocketMessageType.Close);
        ((int)received.CloseStatus!).ShouldBe(1012);
        await socket.CloseAsync(WebSocketCloseStatus.NormalClosure, null, CancellationToken.None);
        (await stopped).ShouldBe(0, server.Log);
    }

    [Fact]
    public async Task A_second_signal_ends_it_at_once()
    {
        await using var server = await PublishedServer.StartAsync(new() { Settings = "drain: 1m" });
        server.Terminate();
        await Tool.UntilAsync(async () => (await server.ReadinessAsync()).Text.Contains("stopping", StringComparison.Ordinal), TimeSpan.FromSeconds(20), "readiness is refused");
        // As a shell tells of the end by a signal; far sooner than the drain.
        (await server.StopAsync()).ShouldBe(128 + 15, server.Log);
    }

    [Fact]
    public async Task Lines_of_the_log_name_the_trace_of_the_request_they_were_written_in()
    {
        using var scratch = new Scratch();
        var repository = await ConfigRepository.CreateAsync(scratch["config.git"], [("shop.yml", "x: 1\n")]);
        await using var server = await PublishedServer.StartAsync(new() { ConfigUrl = repository.Path });
        Directory.Delete(repository.Path, recursive: true);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri("/v1/refresh", UriKind.Relative));
        request.Headers.Add("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        using var answer = await server.Client.SendAsync(request);
        ((int)answer.StatusCode).ShouldBe(503);
        await Tool.UntilAsync(() => Task.FromResult(server.Log.Contains("\"TraceId\":\"0af7651916cd43dd8448eb211c80319c\"", StringComparison.Ordinal)), TimeSpan.FromSeconds(20), "the log has the trace: " + server.Log);
        foreach (var line in server.Log.Split('\n', StringSplitOptions.RemoveEmptyEntries))
            JsonElement.Parse(line).GetProperty("Timestamp").GetDateTimeOffset().Offset.ShouldBe(TimeSpan.Zero);
        server.Log.ShouldNotContain(server.Token);
    }

    private static async Task<bool> AnswersAsync(PublishedServer server)
    {
        try
        {
            using var socket = new TcpClient();
            await socket.ConnectAsync(server.Address.Host, server.Address.Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
