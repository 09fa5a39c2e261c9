using System.Net;
using System.Net.Sockets;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary><c>lockstep dev</c>, as somebody who has never seen it meets it. One at a time: they like the same port.</summary>
[Trait("speed", "medium")]
[Collection("dev")]
public sealed class DevTests
{
    [Fact]
    public async Task What_it_prints_works_as_printed()
    {
        await using var folder = new DevFolder();
        await folder.StartAsync();
        var token = folder[".lockstep/token"];
        folder.Dev!.Output.ShouldContain(token);
        File.GetUnixFileMode(token).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        folder.Dev.Output.ShouldNotContain((await File.ReadAllTextAsync(token)).Trim());
        using (var http = new HttpClient()) (await http.GetStringAsync(new Uri(folder.Address + "/readyz"))).ShouldContain("ready");

        string[] expected = ["Hello from the shop", "Hello from the shop, db user shop", "shop/db", "secret."];
        folder.Commands.Count.ShouldBe(expected.Length);
        foreach (var (command, text) in folder.Commands.Zip(expected))
        {
            var result = await folder.ShellAsync(command);
            result.ExitCode.ShouldBe(0, $"{command}: {result.Error}");
            result.Output.ShouldContain(text, Case.Sensitive, command);
        }
        // What the third one wrote is what the first one shows now.
        (await folder.ShellAsync("lockstep config get db.password -s shop -e development")).Ok().Trim().ShouldBe("changed");
        // From below, too.
        (await folder.ShellAsync("mkdir -p a/b && cd a/b && lockstep whoami")).Ok().ShouldContain("admin");
        (await folder.Dev.SignalAsync(2)).ShouldBe(0, folder.Dev.Output);
        folder.Dev.Output.ShouldNotContain("   at ");
    }

    [Fact]
    public async Task A_second_start_goes_on_with_the_data_of_the_first()
    {
        await using var folder = new DevFolder();
        await folder.StartAsync();
        var token = await File.ReadAllTextAsync(folder[".lockstep/token"]);
        (await folder.ShellAsync("echo mine | lockstep secret set my/own")).Ok();
        (await folder.Dev!.SignalAsync(2)).ShouldBe(0);
        var gone = await folder.ShellAsync("lockstep whoami || exit $?");
        gone.ExitCode.ShouldBe(6);
        gone.Error.ShouldContain("lockstep dev");

        await folder.StartAsync();
        (await File.ReadAllTextAsync(folder[".lockstep/token"])).ShouldBe(token);
        (await folder.ShellAsync("lockstep secret get my/own")).Ok().Trim().ShouldBe("mine");
        // And after an end that nobody wanted.
        folder.Dev!.Process.Kill();
        await folder.Dev.EndedAsync();
        await folder.StartAsync();
        (await folder.ShellAsync("lockstep secret get my/own")).Ok().Trim().ShouldBe("mine");
        (await folder.Dev!.SignalAsync(15)).ShouldBe(0);
    }

    [Fact]
    public async Task What_is_pushed_into_its_repository_is_live()
    {
        await using var folder = new DevFolder();
        await folder.StartAsync();
        (await folder.ShellAsync($"git clone -q {folder.Repository} work")).Ok();
        (await folder.ShellAsync("cd work && printf 'shop:\\n  greeting: Pushed\\n' > shop-staging.yml && git add . && git commit -qm greet && git push -q")).Ok();
        await Tool.UntilAsync(
            async () => (await folder.ShellAsync("lockstep config get shop.greeting -s shop -e staging")).Output.Trim() == "Pushed",
            TimeSpan.FromSeconds(15), "the push is live");
        // What does not parse is said to whoever reads it, and the rest goes on.
        (await folder.ShellAsync("cd work && echo 'a: [' > shop-broken.yml && git add . && git commit -qm break && git push -q")).Ok();
        (await folder.ShellAsync("lockstep refresh")).Ok();
        var broken = await folder.ShellAsync("lockstep config get -s shop -e broken || exit $?");
        broken.ExitCode.ShouldBe(1);
        broken.Error.ShouldContain("shop-broken.yml:");
        (await folder.ShellAsync("lockstep config get shop.greeting -s shop -e staging")).Ok().Trim().ShouldBe("Pushed");
    }

    [Fact]
    public async Task A_second_one_in_the_folder_is_refused_and_disturbs_nothing()
    {
        await using var folder = new DevFolder();
        await folder.StartAsync();
        var second = await Tool.RunAsync(folder.Start("lockstep", "dev"));
        second.ExitCode.ShouldNotBe(0);
        second.Error.ShouldContain("in use by another Lockstep server");
        second.Error.ShouldContain("pid ");
        second.Error.ShouldNotContain("   at ");
        (await folder.ShellAsync("lockstep whoami")).Ok().ShouldContain("admin");
    }

    [Fact]
    public async Task A_port_that_is_taken_makes_it_choose_another()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 7400);
        try
        {
            taken.Start();
        }
        catch (SocketException)
        {
            // Somebody else has it: just as good.
        }
        await using var folder = new DevFolder();
        await folder.StartAsync();
        folder.Address.ShouldNotEndWith(":7400");
        (await folder.ShellAsync("lockstep whoami")).Ok().ShouldContain("admin");
    }
}
