using Lockstep.Config.Parsing;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Fuzz;

/// <summary>The files of a repository.</summary>
[Trait("speed", "medium")]
public sealed class FileFuzz
{
    private static readonly string[] s_fragments = ["&a", "*a", "<<:", "---", "...", "%YAML 1.", "!!int", "{", "}", "[", "]", "\"", "'", "\\u", "\\", "#---", "[]=", "\0", "\t", "\uFEFF", "? ", ": ", "- ", "|", "99999999999999999999", "0x", "1:2", "${", "\ud83d\ude00"];

    [Theory]
    [InlineData("a.yml", "a: &x {b: [1, 'two', \"thr\\u00e9e\"], c: ~}\nd: *x\n---\nspring.config.activate.on-profile: (a & !b) | c\ne: |\n  text\n   more\nf: >-\n  folded\n")]
    [InlineData("a.json", "{\"a\":{\"b\":[1,2.5e3,true,null,\"x\\n\\ud83d\\ude00\"]},\"c\":{}}")]
    [InlineData("a.properties", "a.b=c\\u00fc\\\n  d\n#---\nl[]=1,2\nk\\ x : y\n")]
    public void Any_bytes_give_a_file_or_an_error(string path, string seed)
    {
        new Fuzzer(path, [seed], s_fragments).Run((byte[] bytes) =>
        {
            var file = ConfigFileParser.Parse(path, bytes);
            if (file.Error is { } error)
            {
                error.Location!.Value.Line.ShouldBeGreaterThan(0);
                file.Documents.ShouldBeEmpty();
                return false;
            }
            foreach (var entry in file.Documents.SelectMany(d => d.Entries)) entry.Line.ShouldBeGreaterThan(0);
            return true;
        });
    }
}
