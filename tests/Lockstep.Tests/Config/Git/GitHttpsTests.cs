using System.Collections.Concurrent;
using System.Security.Cryptography.X509Certificates;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

/// <summary>A remote over HTTPS under a certificate of an authority that is named in the environment, with a token from a file.</summary>
[Trait("speed", "medium")]
public sealed class GitHttpsTests : IAsyncLifetime
{
    private const string Variable = "GIT_SSL_CAINFO";

    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();
    private readonly TestAuthority _authority = new();
    private readonly X509Certificate2 _certificate;
    private GitHttpServer _server = null!;

    public GitHttpsTests() => _certificate = _authority.IssueByRoot();

    private string Url => _server.Url + "/repository/.git";

    public async Task InitializeAsync()
    {
        _upstream.Commit(("application.yml", "a: 1"));
        _server = await GitHttpServer.StartAsync(Path.GetDirectoryName(_upstream.Path)!, _certificate);
        _server.Url.ShouldStartWith("https://");
    }

    public async Task DisposeAsync()
    {
        Environment.SetEnvironmentVariable(Variable, null);
        await _server.DisposeAsync();
        await _bench.DisposeAsync();
        _upstream.Dispose();
        _certificate.Dispose();
        _authority.Dispose();
    }

    [Fact]
    public async Task A_token_that_is_rotated_on_disk_counts_from_the_next_fetch_and_is_seen_nowhere()
    {
        Environment.SetEnvironmentVariable(Variable, _bench.File("authority.pem", _authority.RootPem));
        var lines = new ConcurrentQueue<string>();
        _server.OnRequest = () =>
        {
            foreach (var line in GitBench.CommandLinesWith(_server.Url).Concat(GitBench.CommandLinesWith("token-of-the-"))) lines.Enqueue(line);
        };
        _server.Password = "token-of-the-first-day";
        var file = _bench.File("token", "token-of-the-first-day\n");
        var repository = await _bench.OpenAsync(Url, credentials: new GitCredentials { Username = "robot", PasswordFile = file });
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);

        _upstream.Commit(("application.yml", "a: 2"));
        _server.Password = "token-of-the-second-day";
        var refused = await Should.ThrowAsync<LockstepException>(() => repository.FetchAsync(default));
        refused.Message.ShouldContain("config.credentials");
        await File.WriteAllTextAsync(file, "token-of-the-second-day\n");
        await repository.FetchAsync(default);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);

        _server.Authorizations.ShouldContain("robot:token-of-the-second-day");
        lines.ShouldNotBeEmpty("git was seen in the process list while it fetched");
        foreach (var text in lines.Concat(_bench.Log).Append(refused.ToString())) text.ShouldNotContain("token-of-the-");
        foreach (var path in Directory.EnumerateFiles(_bench.Mirror, "*", SearchOption.AllDirectories))
            (await File.ReadAllTextAsync(path)).ShouldNotContain("token-of-the-", Case.Sensitive, path);
    }

    [Fact]
    public async Task A_server_whose_authority_is_not_known_is_refused_before_it_is_sent_the_token()
    {
        _server.Password = "a-token";
        var credentials = new GitCredentials { Username = "robot", PasswordFile = _bench.File("token", "a-token\n") };
        var failure = await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(Url, credentials: credentials));
        failure.Code.ShouldBe(ErrorCode.Unavailable);
        failure.Message.ShouldContain("certificate");
        failure.Message.ShouldContain(Variable);
        _server.Authorizations.ShouldBeEmpty();
    }
}
