using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>Two people change one secret at the command line.</summary>
[Trait("speed", "medium")]
public sealed class TwoWritersTests
{
    [Fact]
    public async Task Of_two_writers_that_saw_the_same_version_exactly_one_wins()
    {
        await using var server = await PublishedServer.StartAsync();
        (await server.RunAsync(["secret", "set", "payments/db", "--cas", "0"], "first")).Ok();
        for (var version = 1; version <= 4; version++)
        {
            var seen = version.ToString(System.Globalization.CultureInfo.InvariantCulture);
            var results = await Task.WhenAll(new[] { "alice", "bob" }.Select(who => server.RunAsync(["secret", "set", "payments/db", "--cas", seen], who + seen)));
            results.Select(r => r.ExitCode).Order().ShouldBe([0, 5]);
            var lost = results.Single(r => r.ExitCode == 5).Error;
            lost.ShouldContain("payments/db");
            lost.ShouldContain((version + 1).ToString(System.Globalization.CultureInfo.InvariantCulture), Case.Sensitive, "it says which version there is");
            var won = results[0].ExitCode == 0 ? "alice" : "bob";
            (await server.RunAsync("secret", "get", "payments/db")).Ok().Trim().ShouldBe(won + seen);
        }
        var both = await Task.WhenAll(Enumerable.Range(0, 2).Select(n => server.RunAsync(["secret", "set", "new/one", "--cas", "0"], $"v{n}")));
        both.Select(r => r.ExitCode).Order().ShouldBe([0, 5]);
    }
}
