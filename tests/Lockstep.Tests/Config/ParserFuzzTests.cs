using System.Diagnostics;
using System.Text;
using Lockstep.Config.Parsing;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class ParserFuzzTests
{
    private static readonly string[] s_seeds =
    [
        "a: &x {b: [1, 'two', \"thr\\u00e9e\"], <<: {c: ~}}\nd: *x\n---\nspring.config.activate.on-profile: (a & !b) | c\ne: |\n  text\n   more\nf: >-\n  folded\n",
        "{\"a\":{\"b\":[1,2.5e3,true,null,\"x\\n\\ud83d\\ude00\"]},\"c\":{}}",
        "a.b=c\\u00fc\\\n  d\n#---\nl[]=1,2\nk\\ x : y\n",
    ];

    private static readonly string[] s_fragments = ["&a", "*a", "<<:", "---", "...", "%YAML 1.", "!!int", "{", "}", "[", "]", "\"", "'", "\\u", "\\", "#---", "[]=", "\0", "\t", "\uFEFF", "? ", ": ", "- ", "|", "99999999999999999999", "0x", "1:2", "${", "\ud83d\ude00"];

    [Theory]
    [InlineData("a.yml", 1)]
    [InlineData("a.json", 2)]
    [InlineData("a.properties", 3)]
    public void Any_bytes_give_a_file_or_an_error(string path, int seed)
    {
        var random = new Random(seed);
        var slowest = TimeSpan.Zero;
        for (var round = 0; round < 6000; round++)
        {
            var bytes = Mutate(random, Encoding.UTF8.GetBytes(s_seeds[random.Next(s_seeds.Length)]));
            var start = Stopwatch.GetTimestamp();
            var file = ConfigFileParser.Parse(path, bytes);
            var took = Stopwatch.GetElapsedTime(start);
            if (took > slowest) slowest = took;
            if (file.Error is { } error)
            {
                error.Location!.Value.Line.ShouldBeGreaterThan(0);
                file.Documents.ShouldBeEmpty();
            }
            foreach (var entry in file.Documents.SelectMany(d => d.Entries)) entry.Line.ShouldBeGreaterThan(0);
        }
        // Generous: this finds what hangs, it measures nothing.
        slowest.ShouldBeLessThan(TimeSpan.FromSeconds(10));
    }

    private static byte[] Mutate(Random random, byte[] seed)
    {
        var bytes = seed.ToList();
        for (var changes = random.Next(1, 12); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(5))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, random.Next(bytes.Count - at));
                    break;
                case 2:
                    bytes.InsertRange(at, Encoding.UTF8.GetBytes(s_fragments[random.Next(s_fragments.Length)]));
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(at, random.Next(bytes.Count - at)));
                    break;
                default:
                    bytes.InsertRange(at, Enumerable.Repeat(bytes[at], random.Next(200)));
                    break;
            }
        }
        return [.. bytes];
    }
}
