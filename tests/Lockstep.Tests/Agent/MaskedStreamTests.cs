using System.Text;
using Lockstep.Agent;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Agent;

public sealed class MaskedStreamTests
{
    [Theory]
    [InlineData("the password is hunter2!", "the password is ***!")]
    [InlineData("hunter2hunter2 hunter2", "*** ***")]
    [InlineData("hunter hunter22", "hunter ***2")]
    [InlineData("hunhunter2", "hun***")]
    [InlineData("nothing here", "nothing here")]
    [InlineData("", "")]
    [InlineData("ends with hunter", "ends with hunter")]
    public void A_value_becomes_stars(string output, string expected) => Mask(output, "hunter2").ShouldBe(expected);

    [Theory]
    [InlineData("hunter2", "aHVudGVyMg==")]
    [InlineData("hunter2", "QmVhcmVyIGh1bnRlcjI=")]
    [InlineData("hunter2", "dXNlcjpodW50ZXIy")]
    [InlineData("pass\"word\\", "pass\\\"word\\\\")]
    [InlineData("p4ss word", "p4ss%20word")]
    public void The_forms_that_programs_write_it_in_are_masked(string secret, string written)
    {
        var masked = Mask($"x={written};", secret);
        masked.ShouldContain("***");
        masked.Length.ShouldBeLessThan($"x={written};".Length);
    }

    [Theory]
    [InlineData("postgres://u:p4ssw0rd@h/db", "p4ssw0rd")]
    [InlineData("postgres://u:p4ss%2Fword@h/db", "p4ss/word,p4ss%2Fword")]
    [InlineData("https://h/hook?key=abcdefgh&x=1#y", "abcdefgh")]
    [InlineData("jdbc:postgresql://h/db?user=me&password=a@b:c:d", "a@b:c:d")]
    [InlineData("https://u:a/b@c/d@h", "a/b@c/d")]
    [InlineData("https://h/path", "")]
    [InlineData("no url ?key=abcdefgh", "")]
    public void The_secret_parts_of_a_URL_are_its_own(string url, string parts)
    {
        foreach (var part in parts.Split(',', StringSplitOptions.RemoveEmptyEntries)) UrlSecrets.Of(url).ShouldContain(part);
        if (parts.Length == 0) UrlSecrets.Of(url).ShouldBeEmpty();
    }

    [Fact]
    public void Each_line_of_a_value_is_masked_wherever_it_stands() =>
        Mask("one: MIIEvQIB\ntwo: AkEA0Z3V\nall:\nMIIEvQIB\nAkEA0Z3V\nend", "MIIEvQIB\nAkEA0Z3V\nend").ShouldBe("one: ***\ntwo: ***\nall:\n***");

    [Fact]
    public void Short_values_are_words_like_any_other() => Mask("true 12345 123456", "true", "12345", "123456").ShouldBe("true 12345 ***");

    [Fact]
    public void A_long_value_is_one_mask_and_holds_back_little()
    {
        var value = string.Concat(Enumerable.Range(0, 5000).Select(i => (char)('!' + i * 7919 % 90)));
        Mask($"<{value}>", value).ShouldBe("<***>");
        var held = 0;
        var stream = new MaskedStream(_ => { });
        var mask = new OutputMask(MaskForms.Of(value));
        foreach (var b in Encoding.UTF8.GetBytes(value))
        {
            stream.Write([b], mask);
            held = Math.Max(held, stream.Held);
        }
        held.ShouldBeLessThanOrEqualTo(MaskForms.MaxPiece);
    }

    [Fact]
    public void Bytes_that_are_no_text_go_through()
    {
        var bytes = Enumerable.Range(0, 256).Select(i => (byte)i).ToArray();
        Run([bytes], new OutputMask(MaskForms.Of("hunter2"))).ShouldBe(bytes);
    }

    [Fact]
    public void What_is_held_is_let_out_and_the_rest_of_the_value_is_masked_all_the_same()
    {
        var output = new MemoryStream();
        var stream = new MaskedStream(b => output.Write(b));
        var mask = new OutputMask(MaskForms.Of("hunter2"));
        stream.Write("a hunt"u8, mask);
        Encoding.UTF8.GetString(output.ToArray()).ShouldBe("a ");
        stream.Held.ShouldBe(4);
        stream.Flush();
        stream.Held.ShouldBe(0);
        stream.Write("er2 b"u8, mask);
        stream.Flush();
        Encoding.UTF8.GetString(output.ToArray()).ShouldBe("a hunt*** b");
    }

    [Fact]
    public void What_is_held_is_looked_at_again_when_the_values_change()
    {
        var output = new MemoryStream();
        var stream = new MaskedStream(b => output.Write(b));
        stream.Write("secret-o"u8, new OutputMask(MaskForms.Of("secret-one")));
        stream.Write("ther secret-one"u8, new OutputMask(new[] { "secret-one", "secret-other" }.SelectMany(MaskForms.Of)));
        stream.Flush();
        Encoding.UTF8.GetString(output.ToArray()).ShouldBe("*** ***");
    }

    /// <summary>Against the plain way: cover all occurrences in the whole text, then write a mask for each covered run.</summary>
    [Fact]
    public void However_the_output_is_cut_it_is_masked_as_if_it_were_not()
    {
        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var round = 0; round < 3000; round++)
        {
            // A small alphabet: overlaps, prefixes of each other, near misses.
            var letters = random.Next(1, 4);
            var patterns = Enumerable.Range(0, random.Next(1, 6)).Select(_ => RandomBytes(random, random.Next(1, 9), letters)).ToArray();
            var text = RandomBytes(random, random.Next(0, 200), letters + random.Next(0, 2));
            var chunks = new List<byte[]>();
            for (var at = 0; at < text.Length;)
            {
                var length = Math.Min(random.Next(1, 12), text.Length - at);
                chunks.Add(text[at..(at + length)]);
                at += length;
            }
            Run(chunks, new OutputMask(patterns)).ShouldBe(Model(text, patterns), $"seed {seed}, round {round}");
        }
    }

    private static byte[] RandomBytes(Random random, int length, int letters) => [.. Enumerable.Range(0, length).Select(_ => (byte)('a' + random.Next(letters)))];

    private static byte[] Model(byte[] text, byte[][] patterns)
    {
        var covered = new bool[text.Length];
        foreach (var pattern in patterns)
            for (var at = 0; at + pattern.Length <= text.Length; at++)
                if (text.AsSpan(at, pattern.Length).SequenceEqual(pattern))
                    covered.AsSpan(at, pattern.Length).Fill(true);
        var output = new List<byte>();
        for (var at = 0; at < text.Length; at++)
        {
            if (!covered[at]) output.Add(text[at]);
            else if (at == 0 || !covered[at - 1]) output.AddRange("***"u8);
        }
        return [.. output];
    }

    private static string Mask(string output, params string[] secrets) =>
        Encoding.UTF8.GetString(Run([Encoding.UTF8.GetBytes(output)], new OutputMask(secrets.SelectMany(MaskForms.Of))));

    private static byte[] Run(IEnumerable<byte[]> chunks, OutputMask mask)
    {
        var output = new MemoryStream();
        var stream = new MaskedStream(b => output.Write(b));
        foreach (var chunk in chunks) stream.Write(chunk, mask);
        stream.Flush();
        return output.ToArray();
    }
}
