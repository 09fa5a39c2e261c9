using System.Text;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Fuzz;

/// <summary>What limits who may do what, and what is searched with.</summary>
[Trait("speed", "medium")]
public sealed class PatternFuzz
{
    private static readonly string[] s_pieces = ["a", "b", "/", "?", "*", "**", "**/", "/**", "/**/", "***"];

    [Fact]
    public void Globs_match_what_a_slow_reading_of_their_rules_matches()
    {
        var fuzzer = new Fuzzer("globs", ["a*b", "**/b", "a/**/b", "a?b", "*", "**"], s_pieces);
        fuzzer.Run(pattern =>
        {
            if (!Glob.TryParse(pattern, out var glob)) return false;
            var isShort = pattern.Length <= 14;
            for (var i = 0; i < 20; i++)
            {
                var text = fuzzer.Random.Next(2) == 0 ? Draw(fuzzer.Random) : Instance(fuzzer.Random, pattern);
                if (isShort && text.Length <= 24) glob.Matches(text).ShouldBe(Naive(pattern, text), $"{pattern} on {text}");
                else glob.Matches(text);
            }
            glob.ToString().ShouldBe(pattern);
            return isShort;
        });
    }

    [Fact]
    public void A_glob_covers_only_what_it_matches()
    {
        var covered = 0;
        var fuzzer = new Fuzzer("covering globs", ["a*b", "**/b", "a/**/b", "a?b", "*", "**", "a/**", "a/*/b"], s_pieces);
        var others = new List<Glob>();
        fuzzer.Run(pattern =>
        {
            if (!Glob.TryParse(pattern, out var glob)) return false;
            // What grants must not be what is asked for in other words only.
            Glob.Covers(glob, glob).ShouldBeTrue();
            foreach (var other in others)
            {
                foreach (var (outer, inner) in new[] { (glob, other), (other, glob) })
                {
                    if (!Glob.Covers(outer, inner)) continue;
                    covered++;
                    for (var i = 0; i < 10; i++)
                        if (Instance(fuzzer.Random, inner.ToString()) is var text && inner.Matches(text)) outer.Matches(text).ShouldBeTrue($"{outer} covers {inner}, on {text}");
                }
            }
            if (others.Count < 30) others.Add(glob);
            else others[fuzzer.Random.Next(30)] = glob;
            return pattern.Length <= 40;
        });
        covered.ShouldBeGreaterThan(100);
    }

    [Fact]
    public async Task A_filter_of_the_list_of_secrets_never_takes_long()
    {
        using var place = TestDatabase.Sqlite();
        await using var database = await place.OpenAsync();
        await database.WriteAsync(session =>
        {
            for (var i = 0; i < 2000; i++)
                session.Execute("INSERT INTO secrets (id, mount, latest, created_at, created_by) VALUES (@id, 'embedded', 1, 1, 'me')", ("@id", $"{new string('a', 200)}/{i:x8}"));
            return 0;
        }, CancellationToken.None);
        string[] hostile =
        [
            "^a*/0000", "(a?){120}a{120}", "(x+x+)+y", "((a{9}){9}){9}", ".*a.{150}", "(.*[ab].*[ac].*[ad].*){20}", "(?i)(k|a)+$", @"\b\w+\b.*\p{L}{9}", "[a-z-[b]]+/[^/]{8}", "(a|aa)+$", "a{99999}",
        ];
        var fuzzer = new Fuzzer("list filters", hostile, "(", ")", "{999}", "{0,99}", "*", "+", "?", "[", "]", "^", "$", @"\b", @"\1", "(?=", "(?<n>", "|", ".", @"\p{Lu}", "(?i)", @"\", "#", "-[");
        await fuzzer.RunAsync(async (string filter) =>
        {
            var begun = TimeProvider.System.GetTimestamp();
            var accepted = true;
            try
            {
                var page = await database.ReadAsync(s => SecretCatalog.List(s, new SecretQuery(null, filter, null, 1000), _ => true, CancellationToken.None), CancellationToken.None);
                page.Items.Count.ShouldBeLessThanOrEqualTo(1000);
            }
            catch (LockstepException e)
            {
                e.Code.ShouldBe(ErrorCode.BadRequest);
                accepted = hostile.Contains(filter);
            }
            // A second, the last match, and what else the machine does.
            TimeProvider.System.GetElapsedTime(begun).ShouldBeLessThan(TimeSpan.FromSeconds(10));
            return accepted;
        });
    }

    private static string Draw(Random random) => new([.. Enumerable.Range(0, random.Next(9)).Select(_ => "ab/"[random.Next(3)])]);

    // A text that the pattern is likely to match.
    private static string Instance(Random random, string pattern)
    {
        var text = new StringBuilder();
        foreach (var c in pattern)
        {
            if (c == '?') text.Append("ab"[random.Next(2)]);
            else if (c == '*') text.Append(random.Next(3) == 0 ? Draw(random) : "ab"[..random.Next(3)]);
            else text.Append(c);
        }
        return text.ToString();
    }

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
