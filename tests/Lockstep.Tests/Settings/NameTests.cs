using Lockstep.Client;
using Lockstep.Settings;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Settings;

public sealed class NameTests
{
    [Theory]
    [InlineData("payments", true)]
    [InlineData("a", true)]
    [InlineData("a.b-c_9", true)]
    [InlineData("-", true)]
    [InlineData("", false)]
    [InlineData(".", false)]
    [InlineData("..", false)]
    [InlineData("A", false)]
    [InlineData("a/b", false)]
    [InlineData("a b", false)]
    [InlineData("é", false)]
    [InlineData("a,b", false)]
    public void Services_and_environments(string name, bool valid)
    {
        NameRules.IsName(name).ShouldBe(valid);
        NameRules.IsTokenName(name).ShouldBe(valid && name != "-");
    }

    [Fact]
    public void Lengths_and_lists_are_bounded()
    {
        NameRules.IsName(new string('a', 64)).ShouldBeTrue();
        NameRules.IsName(new string('a', 65)).ShouldBeFalse();
        NameRules.IsEnvironmentList("a").ShouldBeTrue();
        NameRules.IsEnvironmentList("a,b").ShouldBeTrue();
        foreach (var list in new[] { "", ",", "a,", ",a", "a,,b", "a, b", "a,B" }) NameRules.IsEnvironmentList(list).ShouldBeFalse();
        NameRules.IsEnvironmentList(string.Join(',', Enumerable.Repeat("a", 16))).ShouldBeTrue();
        NameRules.IsEnvironmentList(string.Join(',', Enumerable.Repeat("a", 17))).ShouldBeFalse();
    }

    [Theory]
    [InlineData("main", true)]
    [InlineData("release/1.0", true)]
    [InlineData("a@b", true)]
    [InlineData("", false)]
    [InlineData("@", false)]
    [InlineData("-a", false)]
    [InlineData("a..b", false)]
    [InlineData("a b", false)]
    [InlineData("a~1", false)]
    [InlineData("a/", false)]
    [InlineData("/a", false)]
    [InlineData("a//b", false)]
    [InlineData(".a", false)]
    [InlineData("a/.b", false)]
    [InlineData("a.lock", false)]
    [InlineData("a.", false)]
    [InlineData("a@{b", false)]
    [InlineData("a\\b", false)]
    public void Branches(string branch, bool valid) => NameRules.IsBranch(branch).ShouldBe(valid);

    [Theory]
    [InlineData("500ms", 500)]
    [InlineData("30s", 30_000)]
    [InlineData("15m", 900_000)]
    [InlineData("24h", 86_400_000)]
    [InlineData("400d", 34_560_000_000)]
    [InlineData("0s", 0)]
    public void Durations_read_and_print(string text, long milliseconds)
    {
        Durations.TryParse(text, out var duration).ShouldBeTrue();
        duration.TotalMilliseconds.ShouldBe(milliseconds);
        Durations.TryParse(Durations.Format(duration), out var again).ShouldBeTrue();
        again.ShouldBe(duration);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("30")]
    [InlineData("-1s")]
    [InlineData("1.5s")]
    [InlineData(" 1s")]
    [InlineData("1 s")]
    [InlineData("1S")]
    [InlineData("1w")]
    [InlineData("1s1m")]
    [InlineData("999999999d")]
    [InlineData("99999999999999999999s")]
    [InlineData("١s")]
    public void Other_durations_are_refused(string text) => Durations.TryParse(text, out _).ShouldBeFalse();
}
