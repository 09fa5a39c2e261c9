using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Tests.Config.Git;

/// <summary>A remote behind a real sshd.</summary>
[Trait("speed", "medium")]
public sealed class GitSshServerTests(ITestOutputHelper output) : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _bench.DisposeAsync();
        _upstream.Dispose();
    }

    [Fact]
    public async Task A_key_from_a_file_logs_in_and_one_that_replaces_it_counts_from_the_next_fetch()
    {
        if (Skip()) return;
        using var ssh = SshServer.Run();
        _upstream.Commit(("application.yml", "a: 1"));
        var key = _bench.File("key", await File.ReadAllTextAsync(ssh.Key));
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var credentials = new GitCredentials { SshKeyFile = key, KnownHostsFile = _bench.File("known_hosts", ssh.KnownHost) };
        var repository = await _bench.OpenAsync(ssh.Url(_upstream.Path), credentials: credentials);
        repository.OpenFailure.ShouldBeNull();
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);

        var next = ssh.MakeKey("next");
        ssh.Authorize("next");
        _upstream.Commit(("application.yml", "a: 2"));
        (await Should.ThrowAsync<LockstepException>(() => repository.FetchAsync(default))).Message.ShouldContain("config.credentials.sshKeyFile");
        File.Copy(next, key, overwrite: true);
        await repository.FetchAsync(default);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(_upstream.Head);
    }

    [Fact]
    public async Task A_host_that_is_not_known_or_another_than_before_is_refused()
    {
        if (Skip()) return;
        using var ssh = SshServer.Run();
        _upstream.Commit(("application.yml", "a: 1"));
        ssh.MakeKey("other");
        var other = ssh.KnownHost.Split(' ')[0] + " " + string.Join(' ', (await File.ReadAllTextAsync(Path.Combine(Path.GetDirectoryName(ssh.Key)!, "other.pub"))).Split(' ').Take(2)) + "\n";
        foreach (var known in new[] { "[127.0.0.1]:1 " + ssh.KnownHost.Split(' ', 2)[1], other })
        {
            var credentials = new GitCredentials { SshKeyFile = ssh.Key, KnownHostsFile = _bench.File("known_hosts", known) };
            var failure = await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync(ssh.Url(_upstream.Path), credentials: credentials));
            failure.Code.ShouldBe(ErrorCode.Unavailable);
            failure.Message.ShouldContain("config.credentials.knownHostsFile");
        }
    }

    private bool Skip()
    {
        if (SshServer.Missing is { } missing) output.WriteLine(missing);
        return SshServer.Missing is not null;
    }
}
