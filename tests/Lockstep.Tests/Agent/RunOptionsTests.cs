using Lockstep.Agent;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Agent;

public sealed class RunOptionsTests
{
    [Theory]
    [InlineData("restart", "Restart")]
    [InlineData("none", "None")]
    [InlineData("signal=HUP", "Signal")]
    [InlineData("signal=SIGHUP", "Signal")]
    [InlineData("signal=KILL", null)]
    [InlineData("signal=", null)]
    [InlineData("signal", null)]
    [InlineData("stop", null)]
    [InlineData("", null)]
    public void A_reaction_is_a_word_or_a_signal(string text, string? kind)
    {
        if (kind is null) Should.Throw<LockstepException>(() => Reaction.Parse(text, "restart", Reaction.Restart, "--watch")).Code.ShouldBe(ErrorCode.BadRequest);
        else Reaction.Parse(text, "restart", Reaction.Restart, "--watch").Kind.ToString().ShouldBe(kind);
    }

    [Theory]
    [InlineData(":8080", "[::]:8080")]
    [InlineData("*:8080", "[::]:8080")]
    [InlineData("127.0.0.1:80", "127.0.0.1:80")]
    [InlineData("localhost:0", "127.0.0.1:0")]
    [InlineData("[::1]:80", "[::1]:80")]
    [InlineData("8080", null)]
    [InlineData("127.0.0.1", null)]
    [InlineData("::1:80", null)]
    [InlineData("example.org:80", null)]
    [InlineData(":65536", null)]
    [InlineData(":-1", null)]
    [InlineData("", null)]
    public void A_listen_address_is_an_address_and_a_port(string text, string? expected)
    {
        if (expected is null) Should.Throw<LockstepException>(() => ListenSockets.Parse([text])).Code.ShouldBe(ErrorCode.BadRequest);
        else ListenSockets.Parse([text]).Single().ToString().ShouldBe(expected.Replace("[::]:8080", System.Net.Sockets.Socket.OSSupportsIPv6 ? "[::]:8080" : "0.0.0.0:8080", StringComparison.Ordinal));
    }

    [Fact]
    public void Listen_addresses_are_joined_by_commas_up_to_16()
    {
        ListenSockets.Parse([":1,:2", ":3"]).Count.ShouldBe(3);
        Should.Throw<LockstepException>(() => ListenSockets.Parse([string.Join(',', Enumerable.Repeat(":1", 17))]));
    }

    [Theory]
    [InlineData("http://127.0.0.1:8080/ready", "http://127.0.0.1:8080/ready")]
    [InlineData("https://localhost/", "https://localhost/")]
    [InlineData("tcp:8080", "tcp://127.0.0.1:8080/")]
    [InlineData("tcp:db1:5432", "tcp://db1:5432/")]
    [InlineData("tcp:[::1]:5432", "tcp://[::1]:5432/")]
    [InlineData("tcp:0", null)]
    [InlineData("tcp:", null)]
    [InlineData("tcp:host", null)]
    [InlineData("8080", null)]
    [InlineData("ftp://x/", null)]
    public void A_ready_check_is_a_url_or_a_port(string text, string? expected)
    {
        if (expected is null) Should.Throw<LockstepException>(() => ReadyCheck.Parse(text)).Code.ShouldBe(ErrorCode.BadRequest);
        else ReadyCheck.Parse(text).Target.ToString().ShouldBe(expected);
    }

    [Fact]
    public void The_plan_of_the_shim_arrives_as_it_was_sent()
    {
        var plan = new ExecPlan
        {
            Path = "/bin/ü",
            Arguments = ["ü", "", "a b"],
            Environment = new Dictionary<string, string> { ["A"] = "1\n2", ["B.C"] = "" },
            Sockets = [(77, "80"), (5, "x")],
            Mount = "/run/x",
            Files = new Dictionary<string, string> { ["db.password"] = "p" },
        };
        var stream = new MemoryStream();
        plan.Write(stream);
        stream.Position = 0;
        var read = ExecPlan.Read(stream);
        read.Path.ShouldBe(plan.Path);
        read.Arguments.ShouldBe(plan.Arguments);
        read.Environment.ShouldBe(plan.Environment);
        read.Sockets.ShouldBe(plan.Sockets);
        read.Mount.ShouldBe(plan.Mount);
        read.Files.ShouldBe(plan.Files);
        (plan with { Mount = null }).ToString().ShouldBe("/bin/ü", "no value in what may be printed");
    }
}
