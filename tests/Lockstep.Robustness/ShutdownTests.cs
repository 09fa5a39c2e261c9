using System.Net.Sockets;
using System.Text;
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
                    (await api.PutSecretAsync($"own/{n}", new() { Value = System.Text.Json.JsonSerializer.SerializeToElement($"{version}"), Cas = version })).Version.ShouldBe(version + 1);
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
