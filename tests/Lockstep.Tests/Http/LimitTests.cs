using System.Net.Sockets;
using System.Text;
using Lockstep.Access;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary>What one client may take of the server.</summary>
public sealed class LimitTests : IAsyncLifetime
{
    private readonly TestRepository _repository = new();
    private readonly TempDirectory _files = new();
    private readonly ManualTime _time = new(timers: true);
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("a.yml", "x: 1\n"));
        var hook = _files.File("hook");
        await File.WriteAllTextAsync(hook, "the secret of the hook");
        File.SetUnixFileMode(hook, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        _server = await TestServer.StartAsync(_repository, o => o with { Operation = new OperationOptions { RequestsPerSecond = 10 }, Config = o.Config with { WebhookSecretFile = hook } }, _time);
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
        _files.Dispose();
    }

    [Fact]
    public async Task Who_asks_too_much_is_told_when_to_come_again_and_others_are_served()
    {
        var (busy, other) = (await _server.AsAsync("viewer"), await _server.AsAsync("viewer"));
        for (var i = 0; i < 20; i++) (await busy.ConfigAsync("a/dev")).Ok();
        var refused = (await busy.ConfigAsync("a/dev")).ShouldBe(429, "rate-limited");
        refused.Header("Retry-After").ShouldBe("1");
        (await other.ConfigAsync("a/dev")).Ok();
        (await _server.Nobody.GetAsync("/metrics")).Text.ShouldContain("lockstep_requests_limited_total{by=\"token\"}");
        _time.Advance(TimeSpan.FromSeconds(1));
        (await busy.ConfigAsync("a/dev")).Ok();
    }

    [Fact]
    public async Task Who_guesses_tokens_is_slowed_down_and_a_valid_token_from_there_is_heard()
    {
        var guesser = new TestCaller(_server, "lks_guess");
        var statuses = new List<int>();
        for (var i = 0; i <= RateLimits.FailureBurst; i++) statuses.Add((await guesser.GetAsync("/v1/whoami")).Status);
        statuses[..^1].ShouldAllBe(s => s == 401);
        statuses[^1].ShouldBe(429);
        (await _server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    [Theory]
    [InlineData("Bearer eyJ.eyJ.x", "GET", "/v1/whoami")]
    [InlineData("Basic YW55OmxrczpndWVzcw==", "GET", "/spring/a/dev")]
    [InlineData("Basic YW55OmxrczpndWVzcw==", "GET", "/git/config.git/info/refs?service=git-upload-pack")]
    [InlineData("Digest x", "GET", "/v1/whoami")]
    [InlineData("Bearer lks_guess", "GET", "/v1/watch")]
    [InlineData("hello", "GET", "/v1/watch")]
    [InlineData("unsigned", "POST", "/v1/hooks/git")]
    public async Task Whichever_way_somebody_guesses_all_are_counted_for_the_address(string guess, string method, string path)
    {
        for (var i = 0; i < RateLimits.FailureBurst; i++)
        {
            if (guess == "hello")
            {
                await using var watcher = await TestWatcher.OpenAsync(_server, null);
                await watcher.SendAsync(new { op = "hello", token = "lks_guess" });
                (await watcher.ClosedAsync()).ShouldBe(4401);
            }
            else
            {
                (string, string)[] headers = guess == "unsigned" ? [] : [("Authorization", guess)];
                (await _server.Nobody.SendAsync(method, path, guess == "unsigned" ? "{}" : null, headers)).Status.ShouldBe(401);
            }
        }
        (await _server.Nobody.GetAsync("/v1/whoami", ("Authorization", "Bearer x"))).ShouldBe(429, "rate-limited").Header("Retry-After").ShouldBe("1");
        (await _server.Admin.GetAsync("/v1/whoami")).Ok();
        (await _server.Nobody.GetAsync("/v1/whoami")).ShouldBe(401);
    }

    [Fact]
    public async Task Headers_have_a_limit_in_number_and_in_length()
    {
        (await RawAsync(string.Concat(Enumerable.Range(0, 70).Select(i => $"X-{i}: 1\r\n")))).ShouldStartWith("HTTP/1.1 431 ");
        (await RawAsync($"X-Long: {new string('x', 17_000)}\r\n")).ShouldStartWith("HTTP/1.1 431 ");
        (await RawAsync("X-Short: x\r\n")).ShouldStartWith("HTTP/1.1 200 ");
    }

    [Fact]
    public async Task A_body_has_a_limit()
    {
        (await _server.Admin.PutAsync("/v1/secrets/x", new { value = new string('x', 1_100_000) })).ShouldBe(413, "too-large");
    }

    [Fact]
    public async Task Connections_have_a_limit_and_those_beyond_it_are_closed()
    {
        var address = new Uri(_server.Server.ManagementAddress);
        var open = new List<TcpClient>();
        try
        {
            for (var i = 0; i < 256; i++)
            {
                open.Add(new TcpClient());
                await open[^1].ConnectAsync(address.Host, address.Port);
            }
            using var late = new TcpClient();
            await late.ConnectAsync(address.Host, address.Port);
            await Poll.UntilAsync(async () => await AnswerAsync(late, "/livez", "") is null, "the connection beyond the limit is closed");
            (await AnswerAsync(open[0], "/livez", "")).ShouldNotBeNull();
        }
        finally
        {
            foreach (var socket in open) socket.Dispose();
        }
    }

    private async Task<string> RawAsync(string headers)
    {
        using var socket = new TcpClient();
        var address = new Uri(_server.Server.Address);
        await socket.ConnectAsync(address.Host, address.Port);
        return await AnswerAsync(socket, "/livez", headers) ?? "";
    }

    // Null: closed without an answer.
    private static async Task<string?> AnswerAsync(TcpClient socket, string path, string headers)
    {
        try
        {
            var stream = socket.GetStream();
            await stream.WriteAsync(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"));
            var buffer = new byte[64];
            var read = await stream.ReadAsync(buffer);
            return read == 0 ? null : Encoding.ASCII.GetString(buffer, 0, read);
        }
        catch (IOException)
        {
            return null;
        }
    }
}
