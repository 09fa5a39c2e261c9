using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>The program as it is built can be started where the tests stand.</summary>
public sealed class PublishedServerTests
{
    [Fact]
    public async Task The_executable_beside_the_tests_runs()
    {
        var result = await Tool.RunAsync(PublishedServer.Executable, "--version");
        result.ExitCode.ShouldBe(0, result.Error);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_server_becomes_ready_stops_when_told_and_starts_again_after_a_kill()
    {
        await using var server = await PublishedServer.StartAsync();
        (await server.StopAsync()).ShouldBe(0, server.Log);
        await server.StartAgainAsync();
        await server.KillAsync();
        await server.StartAgainAsync();
    }
}
