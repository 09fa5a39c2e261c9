using System.Diagnostics;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Settings;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config.Git;

public class GitRemoteTests
{
    [Theory]
    [InlineData("/srv/config", "Local")]
    [InlineData("/srv/a:b", "Local")]
    [InlineData("./config", "Local")]
    [InlineData("config", "Local")]
    [InlineData("file:///srv/config", "Local")]
    [InlineData("https://git.example.com/a/b.git", "Http")]
    [InlineData("http://git.example.com:8080/a/b.git", "Http")]
    [InlineData("ssh://git@git.example.com:2222/a/b.git", "Ssh")]
    [InlineData("git@git.example.com:a/b.git", "Ssh")]
    [InlineData("git.example.com:a/b.git", "Ssh")]
    [InlineData("git@[::1]:a/b.git", "Ssh")]
    public void Supported_addresses_are_understood(string url, string transport) =>
        GitRemote.Parse(url, null).Transport.ToString().ShouldBe(transport);

    [Theory]
    [InlineData("")]
    [InlineData(" /srv/config")]
    [InlineData("/srv/config\n")]
    [InlineData("-u./evil")]
    [InlineData("--upload-pack=touch /tmp/x")]
    [InlineData("ext::sh -c touch% /tmp/x")]
    [InlineData("fd::17")]
    [InlineData("git-remote::x")]
    [InlineData("git://git.example.com/a")]
    [InlineData("ftp://git.example.com/a")]
    [InlineData("HTTPS://git.example.com/a")]
    [InlineData("file://other-host/srv/config")]
    [InlineData("ssh://-oProxyCommand=touch/a")]
    [InlineData("ssh://git@-oProxyCommand=touch/a")]
    [InlineData("ssh://-oProxyCommand=touch@host/a")]
    [InlineData("-oProxyCommand=touch:a")]
    [InlineData("git@-oProxyCommand=touch:a")]
    [InlineData("git@host:-oProxyCommand")]
    [InlineData("https://")]
    [InlineData("https://host/a b")]
    [InlineData("https://host/a?token=hunter2secret")]
    [InlineData("https://host/a#hunter2secret")]
    [InlineData("https://ann:hunter2secret@host/a")]
    [InlineData("https://hunter2secret@host/a")]
    [InlineData("https://@host/a")]
    [InlineData("https://ann:hunter2secret@ho st/a")]
    [InlineData("https://ann:hunter2/secret@host/a")]
    [InlineData("ssh://git:hunter2secret@host/a")]
    [InlineData("git:hunter2secret@host:a")]
    public void Anything_else_is_refused_without_repeating_what_may_be_a_password(string url)
    {
        var refused = Should.Throw<LockstepException>(() => GitRemote.Parse(url, null));
        refused.Code.ShouldBe(ErrorCode.BadRequest);
        refused.Message.ShouldStartWith("config.url: ");
        refused.Message.ShouldNotContain("hunter2");
    }

    [Fact]
    public void Credentials_in_a_URL_are_refused_with_the_way_out() =>
        Should.Throw<LockstepException>(() => GitRemote.Parse("https://ann:x@host/a", null)).Message.ShouldContain("config.credentials");

    [Fact]
    public void A_password_over_plain_http_is_refused_beyond_loopback()
    {
        var credentials = new GitCredentials { PasswordFile = "/nowhere" };
        Should.Throw<LockstepException>(() => GitRemote.Parse("http://git.example.com/a", credentials)).Message.ShouldContain("plain text");
        GitRemote.Parse("http://127.0.0.1:3000/a", credentials).Transport.ShouldBe(GitTransport.Http);
        GitRemote.Parse("http://[::1]:3000/a", credentials).Transport.ShouldBe(GitTransport.Http);
        GitRemote.Parse("http://localhost:3000/a", credentials).Transport.ShouldBe(GitTransport.Http);
        GitRemote.Parse("https://git.example.com/a", credentials).Transport.ShouldBe(GitTransport.Http);
    }

    [Fact]
    public void The_ssh_command_is_split_by_a_shell_into_what_was_meant()
    {
        var command = GitLogin.SshCommand(new GitCredentials { SshKeyFile = "/keys/it's 100%; touch x", KnownHostsFile = "/keys/known hosts" });
        var start = new ProcessStartInfo("sh", ["-c", "eval \"set -- $1\"; printf '%s\\n' \"$@\"", "sh", command]) { RedirectStandardOutput = true };
        using var shell = Process.Start(start)!;
        var words = shell.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        words[0].ShouldBe("ssh");
        words.ShouldContain("-oBatchMode=yes");
        words.ShouldContain("-oStrictHostKeyChecking=yes");
        words.ShouldContain("-oIdentitiesOnly=yes");
        words.ShouldContain("-oUserKnownHostsFile=\"/keys/known hosts\"");
        words[Array.IndexOf(words, "-i") + 1].ShouldBe("/keys/it's 100%%; touch x");
    }

    [Theory]
    [InlineData("git version 2.35.9")]
    [InlineData("git version 1.8.3.1")]
    [InlineData("hub version 2")]
    public void An_old_git_is_refused_with_the_version_that_is_needed(string version) =>
        Should.Throw<LockstepException>(() => GitVersion.Check(version)).Message.ShouldContain("2.36 or newer");

    [Theory]
    [InlineData("git version 2.36.0")]
    [InlineData("git version 2.39.5 (Apple Git-154)")]
    [InlineData("git version 3.0.0.windows.1")]
    public void A_newer_git_will_do(string version) => GitVersion.Check(version);

    [Fact]
    public void Text_of_a_remote_is_cleaned_for_messages()
    {
        var text = GitProcess.Scrub("fatal: unable to access 'https://ann:hunter2@host/a': no\u001b[31m\nremote: x\n"u8.ToArray());
        text.ShouldBe("fatal: unable to access 'https://host/a': no [31m; remote: x");
    }
}
