using System.Globalization;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Tests.Config.Git;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Http;

/// <summary><c>POST /v1/hooks/git</c>.</summary>
[Trait("speed", "medium")]
public sealed class WebhookTests : IAsyncLifetime
{
    private const string Path = "/v1/hooks/git";
    private const string Secret = "whsec_bm90IHZlcnkgc2VjcmV0"; // In the form of GitLab's signing token; for all others any text.
    private const string Body = """{"ref":"refs/heads/main","after":"do-not-log-me"}""";

    private readonly TestRepository _repository = TestRepository.With(("shop.yml", "n: 0\n"));
    private readonly TempDirectory _files = new();
    private TestServer _server = null!;

    private string SecretFile => _files.File("secret");

    public async Task InitializeAsync()
    {
        await File.WriteAllTextAsync(SecretFile, Secret + "\r\nnot this line\n");
        _server = await TestServer.StartAsync(_repository, o => o with { Config = o.Config with { WebhookSecretFile = SecretFile } });
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        _repository.Dispose();
        _files.Dispose();
    }

    [Theory]
    [InlineData("github")]
    [InlineData("gitea")]
    [InlineData("forgejo")]
    [InlineData("gogs")]
    [InlineData("bitbucket")]
    [InlineData("gitlab")]
    [InlineData("gitlab-signed")]
    public async Task A_signed_delivery_has_what_was_pushed_fetched(string host)
    {
        (await _server.Admin.ConfigAsync("shop/dev")).Ok().Value("n").ShouldBe("0");
        _repository.Commit(("shop.yml", "n: 1\n"));
        var answer = await _server.Nobody.SendAsync("POST", Path, Body, Signatures(host, Secret, Body));
        (answer.Status, answer.Text).ShouldBe((202, ""));
        await ServedAsync("1");
        // Sent again, it is only another fetch.
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures(host, Secret, Body))).Status.ShouldBe(202);
        _repository.Commit(("shop.yml", "n: 2\n"));
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures(host, Secret, Body))).Status.ShouldBe(202);
        await ServedAsync("2");
        _server.Logs.Lines.ShouldAllBe(l => !l.Contains("do-not-log-me", StringComparison.Ordinal) && !l.Contains(Secret, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("github")]
    [InlineData("gitea")]
    [InlineData("forgejo")]
    [InlineData("gogs")]
    [InlineData("bitbucket")]
    [InlineData("gitlab")]
    [InlineData("gitlab-signed")]
    public async Task A_signature_that_is_not_right_is_401_and_fetches_nothing(string host)
    {
        var right = Signatures(host, Secret, Body);
        await RefusedAsync(Body, Signatures(host, Secret + "x", Body));
        if (host != "gitlab") await RefusedAsync(Body + " ", right);
        var (name, value) = right[^1];
        foreach (var wrong in new[] { "", "x", value[..^2], value + "00", value[..^1] + (value[^1] == '0' ? '1' : '0'), "sha256=", "sha1=", new string('z', 64) })
            await RefusedAsync(Body, [.. right[..^1], (name, wrong)]);
        // The same one twice, unless it is a list anyway; and a right one beside another host's that is wrong.
        if (host != "gitlab-signed") await RefusedAsync(Body, [.. right, (name, value)]);
        foreach (var other in new[] { "github", "gitea", "bitbucket", "gitlab" }.Where(o => o != host))
            await RefusedAsync(Body, [.. right, .. Signatures(other, "another secret", Body)]);
        (await _server.Nobody.SendAsync("POST", Path, Body, right)).Status.ShouldBe(202);
    }

    [Fact]
    public async Task What_is_not_signed_is_401_and_counted_and_sha1_alone_signs_nothing()
    {
        using var sha1 = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA1, Encoding.UTF8.GetBytes(Secret));
        sha1.AppendData(Encoding.UTF8.GetBytes(Body));
        var old = ("X-Hub-Signature", "sha1=" + Hex(sha1.GetHashAndReset()));
        (await _server.Nobody.SendAsync("POST", Path, Body)).ShouldBe(401, "unauthenticated").Detail.ShouldContain("not signed");
        (await _server.Nobody.SendAsync("POST", Path, Body, old)).ShouldBe(401, "unauthenticated").Detail.ShouldContain("not signed");
        // A token opens nothing here.
        (await _server.Admin.PostAsync(Path, new { })).ShouldBe(401);
        await RefusedAsync(Body, Signatures("github", "wrong", Body));
        // As GitHub and Gitea send both, both must be right.
        (await _server.Nobody.SendAsync("POST", Path, Body, [.. Signatures("github", Secret, Body), old])).Status.ShouldBe(202);
        await RefusedAsync(Body, [.. Signatures("github", Secret, Body), (old.Item1, old.Item2[..^1] + (old.Item2[^1] == '0' ? '1' : '0'))]);

        // The record has them per address and minute, when the server has kept its books.
        await _server.RestartAsync();
        var entries = (await _server.Admin.GetAsync("/v1/audit?action=authentication.failed")).Ok().Text;
        entries.ShouldContain("webhook-unsigned");
        entries.ShouldContain("webhook-signature");
        entries.ShouldContain("127.0.0.1");
    }

    [Fact]
    public async Task The_secret_is_read_again_when_its_file_changes_and_kept_while_it_can_not_be_read()
    {
        await File.WriteAllTextAsync(SecretFile, "another");
        await RefusedAsync(Body, Signatures("github", Secret, Body));
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures("github", "another", Body))).Status.ShouldBe(202);
        foreach (var broken in new Action[] { () => File.WriteAllText(SecretFile, ""), () => File.Delete(SecretFile) })
        {
            broken();
            (await _server.Nobody.SendAsync("POST", Path, Body, Signatures("github", "another", Body))).Status.ShouldBe(202);
            await RefusedAsync(Body, Signatures("github", "", Body));
        }
        _server.Logs.Lines.Count(l => l.Contains("still counts", StringComparison.Ordinal)).ShouldBe(1);
        await File.WriteAllTextAsync(SecretFile, "a third\n");
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures("github", "a third", Body))).Status.ShouldBe(202);
    }

    [Fact]
    public async Task Without_a_secret_there_are_no_webhooks_and_with_a_missing_file_no_start()
    {
        await _server.StopAsync();
        var options = _server.Options;
        _server.Options = options with { Config = options.Config with { WebhookSecretFile = null } };
        await _server.StartAsync();
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures("github", Secret, Body))).ShouldBe(404, "not-found").Detail.ShouldContain("config.webhookSecretFile");
        await _server.StopAsync();
        _server.Options = options with { Config = options.Config with { WebhookSecretFile = _files.File("nothing") } };
        (await _server.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("config.webhookSecretFile");
        await File.WriteAllTextAsync(_files.File("nothing"), "\n");
        (await _server.StartAsync().ShouldThrowAsync<LockstepException>()).Message.ShouldContain("config.webhookSecretFile");
    }

    [Fact]
    public async Task The_embedded_repository_is_looked_at_too()
    {
        await using var server = TestServer.Create("", o => o with { Config = o.Config with { Url = null, WebhookSecretFile = SecretFile } });
        await server.StartAsync();
        await server.Server.Repository.CommitAsync("main", null, new Dictionary<string, byte[]?> { ["shop.yml"] = "n: 1\n"u8.ToArray() }, "ann", "first", CancellationToken.None);
        (await server.Nobody.SendAsync("POST", Path, Body, Signatures("gitea", Secret, Body))).Status.ShouldBe(202);
        await Poll.UntilAsync(() => server.Release == 2, "the commit is a release");
    }

    [Fact]
    public async Task Queries_other_methods_and_large_bodies_are_refused()
    {
        (await _server.Nobody.SendAsync("POST", Path + "?secret=x", Body, Signatures("github", Secret, Body))).ShouldBe(400);
        (await _server.Nobody.GetAsync(Path)).ShouldBe(405);
        // What GitHub sends at most, and one byte more.
        var most = new string(' ', 25 * 1024 * 1024);
        (await _server.Nobody.SendAsync("POST", Path, most, Signatures("github", Secret, most))).Status.ShouldBe(202);
        (await _server.Nobody.SendAsync("POST", Path, most + " ", Signatures("github", Secret, most + " "))).ShouldBe(413, "too-large");
    }

    [Fact]
    public async Task Who_gets_signatures_wrong_again_and_again_is_told_to_wait_and_right_ones_are_heard()
    {
        var wrong = Signatures("github", "wrong", Body);
        var answers = await Task.WhenAll(Enumerable.Range(0, 1_000).Select(_ => _server.Nobody.SendAsync("POST", Path, Body, wrong)));
        answers.Select(a => a.Status).Distinct().Order().ShouldBe([401, 429]);
        (await _server.Nobody.SendAsync("POST", Path, Body, Signatures("github", Secret, Body))).Status.ShouldBe(202);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_body_that_does_not_come_is_not_waited_for()
    {
        var address = new Uri(_server.Server.Address);
        using var client = new TcpClient();
        await client.ConnectAsync(address.Host, address.Port);
        var stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes(
            $"POST {Path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nX-Hub-Signature-256: {Signatures("github", Secret, Body)[0].Value}\r\n\r\n{{"));
        using var reader = new StreamReader(stream);
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        (await reader.ReadLineAsync(deadline.Token))!.ShouldMatch("HTTP/1.1 (400|408) ");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_flood_while_a_fetch_hangs_is_answered_at_once_and_causes_one_fetch_more()
    {
        await using var remote = await GitHttpServer.StartAsync(System.IO.Path.GetDirectoryName(_repository.Path)!);
        await using var server = TestServer.Create(remote.Url + "/repository/.git", o => o with { Config = o.Config with { WebhookSecretFile = SecretFile } });
        await server.StartAsync();
        var started = remote.Fetches;
        using var hang = new ManualResetEventSlim();
        remote.OnRequest = () => hang.Wait(TimeSpan.FromSeconds(50));
        await DeliverAsync(server);
        await Poll.UntilAsync(() => remote.Fetches == started + 1, "a fetch hangs");
        await Task.WhenAll(Enumerable.Range(0, 300).Select(_ => DeliverAsync(server)));
        remote.Fetches.ShouldBe(started + 1);

        hang.Set();
        await Poll.UntilAsync(() => remote.Fetches == started + 2, "one more fetch for all of them");
        // Had more been waiting, they would come before this one.
        _repository.Commit(("shop.yml", "n: 1\n"));
        var release = server.Release;
        await DeliverAsync(server);
        await Poll.UntilAsync(() => server.Release > release, "the commit is served");
        remote.Fetches.ShouldBeLessThanOrEqualTo(started + 3);
    }

    private static async Task DeliverAsync(TestServer server) =>
        (await server.Nobody.SendAsync("POST", Path, Body, Signatures("github", Secret, Body))).Status.ShouldBe(202);

    private async Task RefusedAsync(string body, params (string, string)[] headers)
    {
        var answer = await _server.Nobody.SendAsync("POST", Path, body, headers);
        answer.ShouldBe(401, "unauthenticated");
        answer.Text.ShouldNotContain(Secret);
    }

    private Task ServedAsync(string n) =>
        Poll.UntilAsync(() => _server.Admin.ConfigAsync("shop/dev").GetAwaiter().GetResult().Ok().Value("n") == n, $"n is {n}");

    private static (string Name, string Value)[] Signatures(string host, string secret, string body)
    {
        var hex = Hex(HMACSHA256.HashData(Encoding.UTF8.GetBytes(secret), Encoding.UTF8.GetBytes(body)));
        return host switch
        {
            "github" => [("X-Hub-Signature-256", "sha256=" + hex)],
            "gitea" => [("X-Gogs-Signature", hex), ("X-Hub-Signature-256", "sha256=" + hex), ("X-Gitea-Signature", hex)],
            "forgejo" => [("X-Gitea-Signature", hex), ("X-Forgejo-Signature", hex)],
            "gogs" => [("X-Gogs-Signature", hex)],
            "bitbucket" => [("X-Hub-Signature", "sha256=" + hex)],
            "gitlab" => [("X-Gitlab-Token", secret)],
            _ => Standard(secret, body),
        };
    }

    private static (string, string)[] Standard(string secret, string body)
    {
        var key = new byte[secret.Length];
        // A wrong secret need not be base64.
        var length = Convert.TryFromBase64String(secret["whsec_".Length..], key, out var written) ? written : 1;
        var at = TimeProvider.System.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture);
        var signature = HMACSHA256.HashData(key.AsSpan(0, length), Encoding.UTF8.GetBytes($"msg-1.{at}.{body}"));
        return [("webhook-id", "msg-1"), ("webhook-timestamp", at), ("webhook-signature", "v1,bm9wZQ== v1," + Convert.ToBase64String(signature))];
    }

    private static string Hex(byte[] bytes) => Convert.ToHexStringLower(bytes);
}
