using Lockstep.Cli;
using Lockstep.Client;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Cli;

public sealed class ImportFileTests
{
    [Fact]
    public void Dotenv_has_comments_quotes_escapes_and_values_over_several_lines() => Parse("""
        # a comment
        export A=plain # not part of it
        B = "two\nlines \"quoted\" \x"   # comment
        C='single $HOME \n'
        D="-----BEGIN
        middle
        END-----"
        E=
        F=a#b
        """, "dotenv").ShouldBe([
            ("A", "plain"), ("B", "two\nlines \"quoted\" \\x"), ("C", "single $HOME \\n"), ("D", "-----BEGIN\nmiddle\nEND-----"), ("E", ""), ("F", "a#b"),
        ]);

    [Fact]
    public void Json_and_yaml_give_the_same_entries()
    {
        (string, string)[] expected = [("a", "text"), ("b", "5"), ("c", """{"user":"app","on":true,"list":[1,"x"],"none":null}""")];
        Parse("""{"a":"text","b":5,"c":{"user":"app","on":true,"list":[1,"x"],"none":null}}""", "json").ShouldBe(expected);
        Parse("a: text\nb: 5\nc:\n  user: app\n  on: true\n  list: [1, x]\n  none: null\n", "yaml").ShouldBe(expected);
    }

    [Theory]
    [InlineData("json", "{\"a\":\"hunter2\"", "f:1")]
    [InlineData("json", "[\"hunter2\"]", "object")]
    [InlineData("json", "{\"a\":\"hunter2\",\"a\":\"x\"}", "twice")]
    [InlineData("json", "{\"a\":[\"hunter2\"]}", "'a' is a list")]
    [InlineData("json", "{}", "no entries")]
    [InlineData("yaml", "a: hunter2\na: x\n", "twice")]
    [InlineData("yaml", "a: &x {b: hunter2}\nc: *x\n", "expected")]
    [InlineData("yaml", "a:\n  b: &x hunter2\n  c: *x\n", "aliases")]
    [InlineData("yaml", "a:\n", "missing")]
    [InlineData("yaml", "a: {hunter2\n", "not YAML")]
    [InlineData("dotenv", "hunter2\n", "f:1: NAME=value")]
    [InlineData("dotenv", "A=1\nB=\"hunter2\n", "f:2: the closing quote")]
    [InlineData("dotenv", "A=\"1\n2\" hunter2\n", "f:2: there is text after")]
    [InlineData("dotenv", "A=1\nA=2\n", "f:2: 'A' is there twice")]
    public void What_is_wrong_is_told_by_its_place_and_never_quoted(string format, string text, string message)
    {
        var e = Should.Throw<LockstepException>(() => Parse(text, format));
        e.Message.ShouldContain(message);
        e.ToString().ShouldNotContain("hunter2");
    }

    [Fact]
    public void Random_text_is_refused_or_read_and_nothing_else()
    {
        var random = new Random(20260131);
        const string Alphabet = "ab=\"'\\\n\r #{}[]:,&*!-$\t1";
        for (var i = 0; i < 3000; i++)
        {
            var text = string.Concat(Enumerable.Range(0, random.Next(40)).Select(_ => Alphabet[random.Next(Alphabet.Length)]));
            foreach (var format in new[] { "dotenv", "json", "yaml" })
            {
                try
                {
                    ImportFile.Parse(text, format, "f").ShouldNotBeEmpty();
                }
                catch (LockstepException e)
                {
                    e.Code.ShouldBe(ErrorCode.BadRequest, text);
                }
            }
        }
    }

    private static (string, string)[] Parse(string text, string format) => [.. ImportFile.Parse(text, format, "f").Select(e => (e.Key, e.Value))];
}
