using System.Text.RegularExpressions;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary>
/// What somebody writes on a connection to have one request taken for two, or to hold on to the server. The hidden request shows a good token, so that its answer
/// would be told by a 200.
/// </summary>
[Trait("speed", "medium")]
public sealed partial class HostileConnectionTests : IAsyncLifetime
{
    private const string Last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    private readonly TestRepository _repository = new();
    private TestServer _server = null!;

    public async Task InitializeAsync()
    {
        _repository.Commit(("a.yml", "x: 1\n"));
        _server = await TestServer.StartAsync(_repository);
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
    }

    private string Hidden => $"GET /v1/whoami HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {_server.Admin.Token}\r\n\r\n";

    private string Auth => $"Authorization: Bearer {_server.Admin.Token}\r\n";

    [Theory]
    [InlineData("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n")]
    [InlineData("Content-Length: 6\r\nContent-Length: 0\r\n")]
    [InlineData("Content-Length: 0\r\nContent-Length: 6\r\n")]
    [InlineData("Content-Length: 0\r\nContent-Length: 0\r\n")]
    [InlineData("Content-Length: 0, 6\r\n")]
    [InlineData("Content-Length: 0x0\r\n")]
    [InlineData("Content-Length: 0 0\r\n")]
    [InlineData("Content-Length: \r\n")]
    [InlineData("Content-Length: 99999999999999999999\r\n")]
    [InlineData("Content-Length : 0\r\n")]
    [InlineData("Content-Length: 0\r\n Content-Length: 6\r\n")]
    [InlineData(" Content-Length: 0\r\n")]
    [InlineData("Transfer-Encoding: xchunked\r\n")]
    [InlineData("Transfer-Encoding: chunked, identity\r\n")]
    [InlineData("Transfer-Encoding: identity\r\n")]
    [InlineData("Transfer-Encoding : chunked\r\n")]
    [InlineData("Transfer-Encoding: \u000bchunked\r\n")]
    [InlineData("Transfer-Encoding:\r\n chunked\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")]
    [InlineData("Transfer-Encoding: \"chunked\"\r\n")]
    [InlineData("Transfer-Encoding: chunked\n")]
    [InlineData("X: y\nTransfer-Encoding: chunked\r\n")]
    [InlineData("X: y\rTransfer-Encoding: chunked\r\n")]
    public async Task What_can_be_read_in_two_ways_is_refused_and_the_connection_closed(string headers)
    {
        var answers = await AnswersAsync($"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\n{headers}\r\n0\r\n\r\n{Hidden}{Last}");
        answers.ShouldBe([400]);
    }

    [Theory]
    [InlineData("5;\nxx\r\nhello\r\n0\r\n\r\n")]
    [InlineData("5;\rxx\r\nhello\r\n0\r\n\r\n")]
    [InlineData("5\nhello\r\n0\r\n\r\n")]
    [InlineData("5\r\nhello\n0\r\n\r\n")]
    [InlineData("5\r\nhelloX\r\n0\r\n\r\n")]
    [InlineData("-5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("0x5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("+5\r\nhello\r\n0\r\n\r\n")]
    [InlineData("\r\n0\r\n\r\n")]
    [InlineData("80000000\r\nhello\r\n0\r\n\r\n")]
    [InlineData("FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n")]
    [InlineData("100000000000000005\r\nhello\r\n0\r\n\r\n")]
    [InlineData("5\r\nhello\r\n0\r\nbroken trailer\r\n\r\n")]
    public async Task Chunks_that_are_none_are_refused_and_the_connection_closed(string body)
    {
        var answers = await AnswersAsync($"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{body}{Hidden}{Last}");
        answers.Count.ShouldBe(1);
        answers[0].ShouldBeOneOf(400, 413);
    }

    [Theory]
    [InlineData("POST /v1/plan", "", 401)]
    [InlineData("POST /v1/none", "", 404)]
    [InlineData("PATCH /v1/plan", "", 405)]
    [InlineData("GET /livez", "", 200)]
    [InlineData("POST /v1/hooks/git", "", 404)]
    [InlineData("POST /git/config.git/git-upload-pack", "", 401)]
    [InlineData("POST /v1/plan", "Expect: 100-continue\r\n", 401)]
    [InlineData("GET /v1/watch", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\n", 401)]
    [InlineData("GET /livez", "Connection: Upgrade\r\nUpgrade: h2c\r\n", 200)]
    public async Task A_request_in_a_body_that_nobody_reads_is_no_request(string request, string headers, int status)
    {
        foreach (var (framing, body) in new[] { ($"Content-Length: {Hidden.Length}\r\n", Hidden), ("Transfer-Encoding: chunked\r\n", $"{Hidden.Length:x}\r\n{Hidden}\r\n0\r\n\r\n") })
        {
            var answers = await AnswersAsync($"{request} HTTP/1.1\r\nHost: x\r\n{headers}{framing}\r\n{body}{Last}");
            answers[0].ShouldBe(status);
            // Either in step, or closed.
            if (answers.Count > 1) answers.ShouldBe([status, 200]);
        }
    }

    [Fact]
    public async Task A_request_in_a_body_that_is_too_large_is_no_request()
    {
        var body = new string('x', 1_100_000) + Hidden;
        (await AnswersAsync($"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}{Last}", mayBeReset: true)).ShouldBeSubsetOf([413]);
        (await AnswersAsync($"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{body.Length:x}\r\n{body}\r\n0\r\n\r\n{Last}", mayBeReset: true))
            .ShouldBeSubsetOf([413]);
        // An extension is no part of the body, and of no use here.
        var extended = await AnswersAsync($"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2;{new string('x', 3_000_000)}\r\n{{}}\r\n0\r\n\r\n{Last}", mayBeReset: true);
        extended.Count.ShouldBeLessThanOrEqualTo(2);
    }

    [Theory]
    [InlineData("GET http://evil.example/v1/whoami HTTP/1.1\r\nHost: x\r\n", 400)]
    [InlineData("GET evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n", 405)]
    [InlineData("CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\n", 404)]
    [InlineData("OPTIONS * HTTP/1.1\r\nHost: x\r\n", 404)]
    [InlineData("GET /v1/who\0ami HTTP/1.1\r\nHost: x\r\n", 400)]
    [InlineData("GET /v1/who%00ami HTTP/1.1\r\nHost: x\r\n", 400)]
    [InlineData("GET /v1/who\u0001ami HTTP/1.1\r\nHost: x\r\n", 404)]
    [InlineData("GET /v1/who\u00ffami HTTP/1.1\r\nHost: x\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\nHost: x\r\nHost: y\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\nHost: x y\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\nHost: x\r\nX\0: a\r\n", 400)]
    [InlineData("GET /livez HTTP/1.1\r\nHost: x\r\nno colon\r\n", 400)]
    [InlineData("GET /livez HTTP/9.9\r\nHost: x\r\n", 505)]
    [InlineData("GET  /livez HTTP/1.1\r\nHost: x\r\n", 400)]
    [InlineData("/livez\r\n", 400)]
    public async Task Targets_and_headers_that_are_none_are_refused(string request, int status) =>
        (await AnswersAsync($"{request}\r\n{Last}"))[0].ShouldBe(status);

    [Fact]
    public async Task A_length_with_a_sign_is_that_length_and_nothing_else()
    {
        // The HTTP layer reads it so. What follows stays in step.
        foreach (var sign in new[] { "+", "-" })
            (await AnswersAsync($"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: {sign}0\r\n\r\n{Last}")).ShouldBe([200, 200]);
        (await AnswersAsync($"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: +{Hidden.Length}\r\n\r\n{Hidden}{Last}")).ShouldBe([200, 200]);
        (await AnswersAsync($"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n{Hidden}{Last}")).ShouldBe([400]);
    }

    [Fact]
    public async Task Another_version_of_the_protocol_is_not_spoken() => (await AnswersAsync($"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{Hidden}{Last}", mayBeReset: true)).ShouldBeEmpty();

    [Fact]
    public async Task A_request_line_has_a_limit()
    {
        (await AnswersAsync($"GET /livez?{new string('x', 9000)} HTTP/1.1\r\nHost: x\r\n\r\n{Last}")).ShouldBe([414]);
        (await AnswersAsync($"{new string('G', 9000)} /livez HTTP/1.1\r\nHost: x\r\n\r\n{Last}")).ShouldBe([414]);
    }

    [Fact]
    public async Task Who_sends_a_byte_now_and_then_is_not_waited_for()
    {
        var head = $"POST /v1/plan HTTP/1.1\r\nHost: x\r\n{Auth}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
        foreach (var answer in await Task.WhenAll(SlowlyAsync("GET /livez HTTP/1.1\r\nHost: x\r\n", "X"), SlowlyAsync(head, "{"), SlowlyAsync("", "G"), SlowlyAsync($"{head.Replace("Bearer", "None", StringComparison.Ordinal)}", "{")))
            answer.ShouldNotContain(" 200 ");
        (await _server.Admin.GetAsync("/v1/whoami")).Ok();
    }

    // Until the server has enough; the test ends by its deadline if it never has.
    private async Task<string> SlowlyAsync(string first, string drop)
    {
        using var raw = await RawConnection.OpenAsync(_server.Server.Address);
        await raw.TrySendAsync(first);
        var reading = raw.ReadToEndAsync();
        while (!reading.IsCompleted && await raw.TrySendAsync(drop)) await Task.WhenAny(reading, Task.Delay(TimeSpan.FromMilliseconds(500), TimeProvider.System));
        return await reading;
    }

    private async Task<IReadOnlyList<int>> AnswersAsync(string bytes, bool mayBeReset = false)
    {
        var text = await RawConnection.AskAsync(_server.Server.Address, bytes);
        if (!mayBeReset) text.ShouldNotBeEmpty();
        // A name of the token would be in the hidden request's answer.
        text.ShouldNotContain(_server.Admin.Name);
        return [.. StatusLine().Matches(text).Select(m => int.Parse(m.Groups["status"].Value, System.Globalization.CultureInfo.InvariantCulture)).Where(s => s != 100)];
    }

    [GeneratedRegex(@"HTTP/1\.1 (?<status>\d{3}) ", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex StatusLine();
}
