using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

/// <summary>A stand-in <c>ssh</c> on PATH notes its arguments and runs what the other side would; for other hosts it is the real one.</summary>
[Trait("speed", "medium")]
public sealed class GitSshTests : IAsyncLifetime
{
    private readonly GitBench _bench = new();
    private readonly TestRepository _upstream = new();
    private readonly DirectoryInfo _bin = Directory.CreateTempSubdirectory("lockstep-ssh-");
    private readonly string? _path = Environment.GetEnvironmentVariable("PATH");

    private string Arguments => Path.Combine(_bin.FullName, "arguments");

    public Task InitializeAsync()
    {
        var script = Path.Combine(_bin.FullName, "ssh");
        File.WriteAllText(script, $"""
            #!/bin/sh
            for last; do :; done
            case "$*" in
              *git@stand-in.test*) printf '%s\n' "$@" >'{Arguments}'; env >'{Arguments}.env'; exec sh -c "$last" ;;
              *git@hanging.test*) sleep 98765; exit 1 ;;
            esac
            PATH='{_path}'; exec ssh "$@"
            """);
        File.SetUnixFileMode(script, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Environment.SetEnvironmentVariable("PATH", _bin.FullName + ":" + _path);
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        Environment.SetEnvironmentVariable("PATH", _path);
        await _bench.DisposeAsync();
        _upstream.Dispose();
        _bin.Delete(recursive: true);
    }

    [Fact]
    public async Task A_remote_over_ssh_is_mirrored_without_prompts_and_with_the_keys_named()
    {
        var commit = _upstream.Commit(("application.yml", "a: 1"));
        var credentials = new GitCredentials { SshKeyFile = _bench.File("the key", "key"), KnownHostsFile = _bench.File("known hosts", "host") };
        var repository = await _bench.OpenAsync("git@stand-in.test:" + _upstream.Path, credentials: credentials);
        (await repository.RefsAsync(default))["refs/heads/main"].ShouldBe(commit);
        var arguments = await File.ReadAllLinesAsync(Arguments);
        arguments.ShouldContain("-oBatchMode=yes");
        arguments.ShouldContain("-oStrictHostKeyChecking=yes");
        arguments.ShouldContain("-oIdentitiesOnly=yes");
        arguments[Array.IndexOf(arguments, "-i") + 1].ShouldBe(credentials.SshKeyFile);
        arguments.ShouldContain($"-oUserKnownHostsFile=\"{credentials.KnownHostsFile}\"");
    }

    [Fact]
    public async Task Only_what_is_meant_of_the_environment_gets_through()
    {
        _upstream.Commit(("application.yml", "a: 1"));
        Environment.SetEnvironmentVariable("GIT_SSH_TESTS_SECRET", "hunter2");
        await _bench.OpenAsync("ssh://git@stand-in.test" + _upstream.Path);
        Environment.SetEnvironmentVariable("GIT_SSH_TESTS_SECRET", null);
        var names = File.ReadLines(Arguments + ".env").Where(l => l.Contains('=', StringComparison.Ordinal)).Select(l => l[..l.IndexOf('=')]).ToArray();
        names.ShouldContain("PATH");
        names.ShouldNotContain("GIT_SSH_TESTS_SECRET");
        names.Where(n => !n.StartsWith("GIT_", StringComparison.Ordinal)).ShouldBeSubsetOf(
            ["PATH", "HOME", "PWD", "OLDPWD", "SHLVL", "_", "LC_ALL", "SSH_ASKPASS", "SSH_AUTH_SOCK"]);
        File.ReadAllText(Arguments + ".env").ShouldContain("HOME=" + _bench.Mirror);
    }

    [Fact]
    public async Task A_key_that_is_missing_is_named_by_its_setting()
    {
        var credentials = new GitCredentials { SshKeyFile = "/no/such/key" };
        (await Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync("git@stand-in.test:x", credentials: credentials))).Message
            .ShouldBe("config.credentials.sshKeyFile names /no/such/key, which does not exist");
    }

    [Fact]
    public async Task An_ssh_that_hangs_is_ended_with_all_it_started()
    {
        _bench.Limits = _bench.Limits with { FirstFetch = TimeSpan.FromSeconds(1) };
        var opening = Should.ThrowAsync<LockstepException>(() => _bench.OpenAsync("git@hanging.test:x"));
        (await GitBench.EventuallyAsync(() => GitBench.CommandLinesWith("98765").Length > 0)).ShouldBeTrue();
        (await opening).Message.ShouldContain("did not finish within 1 s");
        (await GitBench.EventuallyAsync(() => GitBench.CommandLinesWith("98765").Length == 0)).ShouldBeTrue();
    }
}
