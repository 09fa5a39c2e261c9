using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

public sealed class GitHttpTests : IAsyncLifetime
{
    private const string Password = "correct horse \"battery\" $staple";
    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();
    private GitHttpServer _server = null!;

    private string Url => _server.Url + "/repository/.git";

    public async Task InitializeAsync()
    {
        _upstream.Commit(("application.yml", "a: 1"));
        _server = await GitHttpServer.StartAsync(Path.GetDirectoryName(_upstream.Path)!);
    }

    public async Task DisposeAsync()
    {
        await _server.DisposeAsync();
        await _bench.DisposeAsync();
        _upstream.Dispose();
    }

    [Fact]
    public async Task A_remote_over_http_is_mirrored_and_followed()
    {
        var repository = await _bench.OpenAsync(Url);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);
        _upstream.Commit(("application.yml", "a: 2"));
        await repository.FetchAsync(default);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_password_logs_in_and_is_in_no_command_line_file_or_log(bool fromVariable)
    {
        _server.Password = Password;
        var lines = new ConcurrentQueue<string>();
        _server.OnRequest = () =>
        {
            foreach (var line in GitBench.CommandLinesWith(_server.Url).Concat(GitBench.CommandLinesWith("horse")))
                lines.Enqueue(line);
        };
        var variable = "GIT_HTTP_TESTS_" + Guid.NewGuid().ToString("N");
        Environment.SetEnvironmentVariable(variable, Password);
        var credentials = fromVariable
            ? new GitCredentials { Username = "robot", PasswordEnv = variable }
            : new GitCredentials { Username = "robot", PasswordFile = _bench.File("pass word", Password + "\r\nsecond line\n") };
        var repository = await _bench.OpenAsync(Url, credentials: credentials);
        Environment.SetEnvironmentVariable(variable, null);

        repository.OpenFailure.ShouldBeNull();
        _server.Authorizations.ShouldContain("robot:" + Password);
        lines.ShouldNotBeEmpty("the fetch was seen in the process list");
        lines.ShouldAllBe(line => !line.Contains("horse", StringComparison.Ordinal));
        foreach (var file in Directory.EnumerateFiles(_bench.Mirror, "*", SearchOption.AllDirectories))
            File.ReadAllText(file).ShouldNotContain("horse", Case.Sensitive, file);
        _bench.Log.ShouldAllBe(line => !line.Contains("horse", StringComparison.Ordinal));
        _bench.Log.Any(line => line.Contains("other users of this machine can read", StringComparison.Ordinal)).ShouldBe(!fromVariable);
    }

    [Fact]
    public async Task A_wrong_or_missing_password_is_told_with_the_way_out()
    {
        _server.Password = Password;
        foreach (var credentials in new[] { null, new GitCredentials { Username = "robot", PasswordFile = _bench.File("wrong", "hunter2") } })
        {
            var failure = await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(Url, credentials: credentials));
            failure.Code.ShouldBe(ErrorCode.Unavailable);
            failure.Message.ShouldContain(Url);
            failure.Message.ShouldContain("config.credentials");
            failure.Message.ShouldNotContain("hunter2");
        }
    }

    [Fact]
    public async Task A_password_that_cannot_be_read_is_named_by_its_setting()
    {
        var settings = new Dictionary<GitCredentials, string>
        {
            [new GitCredentials { PasswordFile = "/no/such/file" }] = "config.credentials.passwordFile names /no/such/file, which does not exist",
            [new GitCredentials { PasswordFile = _bench.File("empty", "") }] = "which is empty",
            [new GitCredentials { PasswordEnv = "NO_SUCH_VARIABLE" }] = "config.credentials.passwordEnv names the environment variable NO_SUCH_VARIABLE, which is not set",
        };
        foreach (var (credentials, message) in settings)
            (await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(Url, credentials: credentials))).Message.ShouldContain(message);
    }

    [Fact]
    public async Task A_redirect_to_another_server_gets_no_password()
    {
        await using var other = await GitHttpServer.StartAsync(Path.GetDirectoryName(_upstream.Path)!);
        other.Password = "something else";
        _server.RedirectTo = other.Url.Replace("127.0.0.1", "localhost", StringComparison.Ordinal);
        var credentials = new GitCredentials { Username = "robot", PasswordFile = _bench.File("password", Password) };
        await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(Url, credentials: credentials));
        other.Authorizations.ShouldNotBeEmpty("the redirect was followed");
        other.Authorizations.ShouldAllBe(a => a == null);
    }

    [Fact]
    public async Task A_repository_that_the_server_does_not_have_says_so()
    {
        var failure = await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(_server.Url + "/nothing.git"));
        failure.Message.ShouldContain("not found");
        failure.Message.ShouldContain("check config.url");
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_remote_that_never_answers_is_given_up_and_no_process_stays()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var url = $"http://{silent.LocalEndpoint}/repository.git";
        _bench.Limits = _bench.Limits with { FirstFetch = TimeSpan.FromSeconds(2) };
        var opening = Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(url));
        (await GitBench.EventuallyAsync(() => GitBench.CommandLinesWith(url).Length > 1)).ShouldBeTrue("git and its helper were seen");
        (await opening).Message.ShouldContain("did not finish within 2 s");
        (await GitBench.EventuallyAsync(() => GitBench.CommandLinesWith(url).Length == 0)).ShouldBeTrue();
        Directory.Exists(_bench.Mirror + ".new").ShouldBeFalse();
    }

    [Fact]
    public async Task A_fetch_that_is_cancelled_leaves_no_process_and_a_mirror_that_works()
    {
        var repository = await _bench.OpenAsync(Url);
        using var released = new ManualResetEventSlim();
        using var cancel = new CancellationTokenSource();
        _server.OnRequest = () =>
        {
            cancel.Cancel();
            released.Wait();
        };
        await Should.ThrowAsync<OperationCanceledException>(() => repository.FetchAsync(cancel.Token));
        (await GitBench.EventuallyAsync(() => GitBench.CommandLinesWith(_server.Url).Length == 0)).ShouldBeTrue();
        _server.OnRequest = () => { };
        released.Set();
        _upstream.Commit(("application.yml", "a: 2"));
        await repository.FetchAsync(default);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);
    }
}
