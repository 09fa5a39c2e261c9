using System.Text;
using Lockstep.Config;
using Lockstep.Config.Parsing;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class JsonAndPropertiesFileTests
{
    [Theory]
    [InlineData("""{"a":{"b":[1,"x",{"c":true}]},"d":null,"e":{},"f":[]}""", "a.b[0]=#1|a.b[1]=x|a.b[2].c=?true|d=|e=|f=")]
    [InlineData("""{"a":1.50,"b":1e3,"[x]":1,"c":{"[x.y]":2}}""", "a=#1.50|b=#1e3|[x]=#1|c[x.y]=#2")]
    [InlineData("[1,2]", "document[0]=#1|document[1]=#2")]
    [InlineData("\uFEFF{\"a\":\"\\u00fc\"}", "a=ü")]
    [InlineData("null", "")]
    public void Json_is_flattened_like_yaml(string text, string expected) => string.Join('|', ConfigFiles.Entries("a.json", text)).ShouldBe(expected);

    [Theory]
    [InlineData("{\"a\":1,\n\"a\":2}", 2, "'a' stands twice")]
    [InlineData("{\"a\":1,\n// no\n\"b\":2}", 2, "not valid")]
    [InlineData("{\"a\":1,}", 1, "not valid")]
    [InlineData("{\"a\":1} x", 1, "not valid")]
    [InlineData("", 1, "not valid")]
    [InlineData("{\n\"a\":\"\\uD800\"}", 2, "surrogate")]
    public void Json_errors_name_their_line(string text, int line, string message)
    {
        var error = ConfigFiles.ParseText("a.json", text).Error.ShouldNotBeNull();
        error.Location.ShouldBe(new SourceLocation("a.json", line));
        error.Message.ShouldContain(message);
    }

    [Fact]
    public void Deep_json_is_refused() => ConfigFiles.ParseText("a.json", new string('[', 100_000)).Error.ShouldNotBeNull();

    [Fact]
    public void Json_entries_know_their_lines() =>
        ConfigFiles.ParseText("a.json", "{\n\"a\": 1,\n\n\"b\": [2,\n3]}").Documents[0].Entries.Select(e => e.Line).ShouldBe([2, 4, 5]);

    [Theory]
    [InlineData("a=1\nb: 2\nc 3\nd", "a=1|b=2|c=3|d=")]
    [InlineData("  a = 1  \n", "a=1  ")]
    [InlineData("a\\ b\\:c\\=d=e=f:g", "a b:c=d=e=f:g")]
    [InlineData("a=x\\\n    y\\\n z\nb=1", "a=xyz|b=1")]
    [InlineData("a=\\t\\n\\u00fc\\q\\\\", "a=\t\nüq\\")]
    [InlineData("# c\n! d\n\n  # e\na=#1!", "a=#1!")]
    [InlineData("a=1\r\nb=2\rc=3", "a=1|b=2|c=3")]
    [InlineData("l[]=a, b,,c\nm[]=", "l[0]=a|l[1]=b|l[2]=|l[3]=c|m[0]=")]
    [InlineData("a=1\na=2", "a=2")]
    [InlineData("=x\n a=1", "a=1")]
    [InlineData("a=x\\", "a=x")]
    [InlineData("# comment \\\na=1", "a=1")]
    [InlineData("a=\\\n\\\n\\\nx", "a=x")]
    [InlineData("", "")]
    public void Properties_are_read_as_java_and_spring_read_them(string text, string expected) =>
        string.Join('|', ConfigFiles.Entries("a.properties", text)).ShouldBe(expected);

    [Theory]
    [InlineData("a=1\n#---\nb=2", 2)]
    [InlineData("a=1\n!---  \nb=2", 2)]
    [InlineData("a=1\n #---\nb=2", 1)]
    [InlineData("a=1\n#----\nb=2", 1)]
    [InlineData("a=1\n# c\n#---\nb=2", 1)]
    [InlineData("a=1\n! c\n#---\nb=2", 2)]
    [InlineData("a=1\n#---\n# c\nb=2", 1)]
    [InlineData("#---\na=1\n#---\n#---", 1)]
    public void Separators_split_properties_as_spring_does(string text, int documents) =>
        ConfigFiles.ParseText("a.properties", text).Documents.Length.ShouldBe(documents);

    [Fact]
    public void A_property_keeps_its_line_and_column_also_when_a_comment_takes_a_separator_back() =>
        ConfigFiles.ParseText("a.properties", "a = 1\n#---\n# c\n  b:2").Documents[0].Entries.Select(e => (e.Line, e.Column)).ShouldBe([(1, 5), (4, 5)]);

    [Fact]
    public void Properties_that_are_not_utf8_are_latin1() =>
        ConfigFileParser.Parse("a.properties", Encoding.Latin1.GetBytes("a=ü")).Documents[0].Entries[0].Value.Text.ShouldBe("ü");

    [Fact]
    public void A_broken_escape_is_an_error_with_its_line() =>
        ConfigFiles.ParseText("a.properties", "a=1\nb=\\u12").Error!.Location!.Value.Line.ShouldBe(2);

    [Fact]
    public void Half_a_surrogate_pair_is_an_error_with_its_line()
    {
        ConfigFiles.ParseText("a.properties", "a=\\ud83d\\ude00\nb=\\ud83d").Error!.Location!.Value.Line.ShouldBe(2);
        ConfigFiles.ParseText("a.properties", "a=\\ud83d\\ude00").Documents[0].Entries[0].Value.Text.ShouldBe("😀");
    }

    [Fact]
    public void A_file_of_nothing_but_continued_lines_is_read() =>
        ConfigFiles.ParseText("a.properties", "a=" + string.Concat(Enumerable.Repeat("\\\n", 1_000_000))).Error.ShouldBeNull();
}
