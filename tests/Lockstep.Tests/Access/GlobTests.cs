using System.Diagnostics;
using Lockstep.Access;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Access;

public sealed class GlobTests
{
    [Theory]
    [InlineData("payments", "payments", true)]
    [InlineData("payments", "payments2", false)]
    [InlineData("pay*", "payments", true)]
    [InlineData("*", "payments", true)]
    [InlineData("*", "a/b", false)]
    [InlineData("**", "a/b/c", true)]
    [InlineData("payments/*", "payments/db", true)]
    [InlineData("payments/*", "payments/db/main", false)]
    [InlineData("payments/**", "payments/db/main", true)]
    [InlineData("payments/**", "payments", false)]
    [InlineData("payments/**", "payments2/db", false)]
    [InlineData("pa?ments", "payments", true)]
    [InlineData("a?b", "a/b", false)]
    [InlineData("**/db", "db", true)]
    [InlineData("**/db", "a/b/db", true)]
    [InlineData("**/db", "a/bdb", false)]
    [InlineData("a/**/z", "a/z", true)]
    [InlineData("a/**/z", "a/b/c/z", true)]
    [InlineData("a/**/z", "a/bz", false)]
    [InlineData("a**z", "a/b/z", true)]
    [InlineData("a.b", "axb", false)]
    [InlineData("[ab]", "a", false)]
    public void Matches_as_written(string pattern, string text, bool expected) => Parse(pattern).Matches(text).ShouldBe(expected);

    [Theory]
    [InlineData("**", "payments/**", true)]
    [InlineData("*", "payments", true)]
    [InlineData("*", "pay*", true)]
    [InlineData("payments/**", "payments/db/*", true)]
    [InlineData("payments/**", "payments/**/x", true)]
    [InlineData("payments/*", "payments/**", false)]
    [InlineData("payments/**", "**", false)]
    [InlineData("a?", "a*", false)]
    [InlineData("**/x", "a/**/x", true)]
    [InlineData("**/x", "**/x", true)]
    [InlineData("a*c", "ab*c", true)]
    [InlineData("payments", "payments", true)]
    public void Covers_what_people_write(string outer, string inner, bool expected) => Glob.Covers(Parse(outer), Parse(inner)).ShouldBe(expected);

    [Fact]
    public void A_hostile_pattern_costs_what_its_length_allows()
    {
        var pattern = Parse(string.Concat(Enumerable.Repeat("**a*", 63)) + "b");
        var text = new string('a', 255);
        var time = Stopwatch.StartNew();
        for (var i = 0; i < 10; i++) pattern.Matches(text).ShouldBeFalse();
        Glob.Covers(pattern, pattern).ShouldBeTrue();
        // Backtracking would not end; the bound only tells the two apart.
        time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void Empty_long_and_control_characters_are_refused()
    {
        foreach (var text in new[] { null, "", new string('a', 256), "a\nb", "\0" }) Glob.TryParse(text, out _).ShouldBeFalse();
    }

    [Fact]
    public void A_set_matches_when_one_does()
    {
        GlobSet.Of("a", "b*").Matches("bcd").ShouldBeTrue();
        GlobSet.None.Matches("a").ShouldBeFalse();
        GlobSet.Of("a*", "b").Covers(GlobSet.Of("b", "ab")).ShouldBeTrue();
        GlobSet.Of("a*", "b").Covers(GlobSet.Of("b", "c")).ShouldBeFalse();
        GlobSet.From([.. Enumerable.Repeat("a", 65)]).Error.ShouldNotBeNull();
    }

    private static Glob Parse(string text) => Glob.TryParse(text, out var glob) ? glob : throw new ArgumentException("Not a glob.", nameof(text));
}
