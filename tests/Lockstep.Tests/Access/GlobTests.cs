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

    [Fact]
    public void Agrees_with_a_naive_model()
    {
        var random = new Random(2);
        for (var i = 0; i < 60_000; i++)
        {
            var pattern = Draw(random, "ab/?***", 8);
            var text = Draw(random, "ab/", 8);
            if (pattern.Length == 0) continue;
            Parse(pattern).Matches(text).ShouldBe(Naive(pattern, text), $"{pattern} on {text}");
        }
    }

    [Fact]
    public void Covers_only_what_it_matches()
    {
        var random = new Random(3);
        var texts = All("ab/", 5).ToArray();
        var covered = 0;
        for (var i = 0; i < 4000; i++)
        {
            var (outer, inner) = (Parse(Draw(random, "ab/?***", 5) + "*"), Parse(Draw(random, "ab/?*", 5) + "a"));
            if (!Glob.Covers(outer, inner)) continue;
            covered++;
            foreach (var text in texts)
                if (inner.Matches(text)) outer.Matches(text).ShouldBeTrue($"{outer} covers {inner}, on {text}");
        }
        covered.ShouldBeGreaterThan(100);
    }

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

    private static string Draw(Random random, string alphabet, int max) =>
        new([.. Enumerable.Range(0, random.Next(max + 1)).Select(_ => alphabet[random.Next(alphabet.Length)])]);

    private static IEnumerable<string> All(string alphabet, int max) =>
        max == 0 ? [""] : All(alphabet, max - 1).SelectMany(t => t.Length == max - 1 ? [t, .. alphabet.Select(c => t + c)] : new[] { t });

    private static bool Naive(string p, string t, bool atSegmentStart = true)
    {
        if (p.Length == 0) return t.Length == 0;
        if (p.StartsWith("**", StringComparison.Ordinal))
        {
            var rest = p.TrimStart('*');
            if (atSegmentStart && rest.StartsWith('/'))
            {
                if (Naive(rest[1..], t)) return true;
                for (var i = 0; i < t.Length; i++)
                    if (t[i] == '/' && Naive(rest[1..], t[(i + 1)..])) return true;
                return false;
            }
            for (var i = 0; i <= t.Length; i++)
                if (Naive(rest, t[i..], false)) return true;
            return false;
        }
        if (p[0] == '*')
        {
            for (var i = 0; i <= t.Length && (i == 0 || t[i - 1] != '/'); i++)
                if (Naive(p[1..], t[i..], false)) return true;
            return false;
        }
        return t.Length > 0 && (p[0] == t[0] || (p[0] == '?' && t[0] != '/')) && Naive(p[1..], t[1..], p[0] == '/');
    }
}
