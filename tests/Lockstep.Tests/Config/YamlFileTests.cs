using System.Text;
using Lockstep.Config;
using Lockstep.Config.Parsing;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class YamlFileTests
{
    [Theory]
    [InlineData("true", "?true")]
    [InlineData("Yes", "?true")]
    [InlineData("off", "?false")]
    [InlineData("y", "y")]
    [InlineData("N", "N")]
    [InlineData("yEs", "yEs")]
    [InlineData("~", "")]
    [InlineData("null", "")]
    [InlineData("", "")]
    [InlineData("'true'", "true")]
    [InlineData("\"12\"", "12")]
    [InlineData("0", "#0")]
    [InlineData("-5", "#-5")]
    [InlineData("+5", "#5")]
    [InlineData("0x1F", "#31")]
    [InlineData("0b101", "#5")]
    [InlineData("0777", "#511")]
    [InlineData("089", "089")]
    [InlineData("0o17", "0o17")]
    [InlineData("1_000", "#1000")]
    [InlineData("1:30", "#90")]
    [InlineData("190:20:30", "#685230")]
    [InlineData("3306:3306", "3306:3306")]
    [InlineData("-1:30", "#-90")]
    [InlineData("1:30.5", "#90.5")]
    [InlineData("1.0", "#1.0")]
    [InlineData("1.50", "#1.50")]
    [InlineData(".5", "#0.5")]
    [InlineData("1.", "#1.0")]
    [InlineData("1e3", "#1e3")]
    [InlineData("+1e7", "#1.0E7")]
    [InlineData("1_0.2_5", "#10.25")]
    [InlineData("1e999", "Infinity")]
    [InlineData(".inf", "Infinity")]
    [InlineData("-.INF", "-Infinity")]
    [InlineData(".NaN", "NaN")]
    [InlineData("1.2.3", "1.2.3")]
    [InlineData("10.0.0.1", "10.0.0.1")]
    [InlineData("2024-01-02", "2024-01-02")]
    [InlineData("12345678901234567890123", "#12345678901234567890123")]
    [InlineData("!!str 12", "12")]
    [InlineData("!!int '12'", "#12")]
    [InlineData("!!float 2", "#2.0")]
    [InlineData("!!bool 'no'", "?false")]
    [InlineData("!!null x", "")]
    [InlineData("!!binary aGk=", "aGk=")]
    [InlineData("! 12", "12")]
    [InlineData("-", "-")]
    [InlineData("${a}", "${a}")]
    [InlineData("=", "=")]
    public void Scalars_resolve_as_spring_resolves_them(string text, string expected)
    {
        if (text == "-") text = "'-'";
        ConfigFiles.Entries("a.yml", $"k: {text}\n").ShouldBe([$"k={expected}"]);
    }

    [Theory]
    [InlineData("a: {b: {c: 1}}", "a.b.c=#1")]
    [InlineData("a: [x, [y, z], {n: 1}]", "a[0]=x|a[1][0]=y|a[1][1]=z|a[2].n=#1")]
    [InlineData("1: a\ntrue: b\n0x10: c\n1.50: d", "[1]=a|[true]=b|[16]=c|[1.5]=d")]
    [InlineData("a:\n  1: x\n  '2': y\n  '[k.l]': z", "a[1]=x|a.2=y|a[k.l]=z")]
    [InlineData("a: {}\nb: []\nc: null\nd: ''", "a=|b=|c=|d=")]
    [InlineData("just text", "document=just text")]
    [InlineData("[a, b]", "document[0]=a|document[1]=b")]
    [InlineData("a.b: 1\na: {b: 2}", "a.b=#2")]
    [InlineData("Y: 0", "Y=#0")]
    [InlineData("a: 1\n---\n---\n# nothing\n---\nb: 2", "a=#1|b=#2")]
    [InlineData("\uFEFFa: 1", "a=#1")]
    [InlineData("a: 1\r\nb: |\r\n  x\r\n  y\r\n", "a=#1|b=x\ny\n")]
    [InlineData("", "")]
    public void Documents_flatten_as_spring_flattens_them(string text, string expected) =>
        string.Join('|', ConfigFiles.Entries("a.yml", text)).ShouldBe(expected);

    [Fact]
    public void Aliases_and_merge_keys_are_expanded_and_own_keys_win()
    {
        const string Text = """
            base: &base {host: h, port: 1}
            more: &more {port: 2, extra: e}
            one: {<<: *base, port: 9}
            two: {<<: [*base, *more]}
            three: *base
            "<<": quoted
            """;
        ConfigFiles.Entries("a.yml", Text)[4..].ShouldBe(
            ["one.host=h", "one.port=#9", "two.host=h", "two.port=#1", "two.extra=e", "three.host=h", "three.port=#1", "<<=quoted"]);
    }

    [Theory]
    [InlineData("a: 1\nb: 2\na: 3", 3, "'a' stands twice")]
    [InlineData("x:\n  1: a\n  0x1: b", 3, "'[1]' stands twice")]
    [InlineData("a: 1\nb: 'x", 2, "not valid")]
    [InlineData("a: *nope", 1, "names no anchor")]
    [InlineData("a: &x\n  b: *x", 2, "contains it")]
    [InlineData("a: 1\nb: !custom x", 2, "'!custom' is not supported")]
    [InlineData("a: !!java.lang.Thread [x]", 1, "is not supported")]
    [InlineData("a: !!int x", 1, "does not fit its tag")]
    [InlineData("? [a, b]\n: c", 1, "must be a scalar")]
    [InlineData("a: {~: x}", 1, "empty or null")]
    [InlineData("a: {<<: x}", 1, "merge key")]
    [InlineData("a: 1\nb: \"\\uD800\"", 2, "surrogate")]
    [InlineData("a: 1\nb: x\0y", 2, "U+0000")]
    [InlineData("spring:\n                flyway:\n      url: x", 3, "not valid")]
    [InlineData("spring.config.activate.on-profile: a & b | c", 1, "malformed")]
    [InlineData("a: {b: ${c}}", 1, "not valid")]
    public void What_is_wrong_is_said_with_its_line(string text, int line, string message)
    {
        var error = ConfigFiles.ParseText("dir/a.yml", text).Error.ShouldNotBeNull();
        error.Location.ShouldBe(new SourceLocation("dir/a.yml", line));
        error.Message.ShouldContain(message);
    }

    [Fact]
    public void Invalid_utf8_is_refused_with_its_line()
    {
        byte[] bytes = [.. Encoding.UTF8.GetBytes("a: ü\nb: "), 0xFC, .. "\n"u8];
        ConfigFileParser.Parse("a.yml", bytes).Error!.Location!.Value.Line.ShouldBe(2);
        ConfigFileParser.Parse("a.json", bytes).Error!.Message.ShouldContain("UTF-8");
    }

    [Fact]
    public void Alias_bombs_end_in_an_error_that_names_the_line()
    {
        var values = new StringBuilder("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for (var i = 1; i < 12; i++) values.Append(null, $"a{i}: &a{i} [{string.Join(", ", Enumerable.Repeat($"*a{i - 1}", 10))}]\n");
        var error = ConfigFiles.ParseText("a.yml", values.ToString()).Error.ShouldNotBeNull();
        error.Message.ShouldContain("after its aliases are expanded");
        error.Location!.Value.Line.ShouldBe(5);

        var merges = new StringBuilder("m0: &m0 {").AppendJoin(", ", Enumerable.Range(0, 2000).Select(i => $"k{i}: x")).Append("}\nm1: {<<: [")
            .AppendJoin(", ", Enumerable.Repeat("*m0", 2000)).Append("]}\n");
        ConfigFiles.ParseText("a.yml", merges.ToString()).Error!.Message.ShouldContain("alias bomb");

        var text = new StringBuilder("t: &t ").Append('x', 1_000_000).Append("\nl: [").AppendJoin(", ", Enumerable.Repeat("*t", 40)).Append(']');
        ConfigFiles.ParseText("a.yml", text.ToString()).Error!.Message.ShouldContain("characters");
    }

    [Theory]
    [InlineData("[", 100_000)]
    [InlineData("{a: ", 100_000)]
    [InlineData("- ", 100_000)]
    public void Deep_nesting_is_refused_at_once(string opening, int times) =>
        ConfigFiles.ParseText("a.yml", string.Concat(Enumerable.Repeat(opening, times))).Error!.Message.ShouldContain("deeper");

    [Fact]
    public void Nesting_through_aliases_is_refused()
    {
        var text = new StringBuilder("a0: &a0 {x: 1}\n");
        for (var i = 1; i < 5000; i++) text.Append(null, $"a{i}: &a{i} {{x: *a{i - 1}}}\n");
        ConfigFiles.ParseText("a.yml", text.ToString()).Error!.Message.ShouldContain("deeper");
    }

    [Fact]
    public void Fifty_thousand_keys_are_read_and_one_more_is_refused()
    {
        var text = string.Concat(Enumerable.Range(0, ConfigLimits.KeysPerFile).Select(i => $"key{i}: value{i}\n"));
        ConfigFiles.ParseText("a.yml", text).Documents[0].Entries.Length.ShouldBe(ConfigLimits.KeysPerFile);
        ConfigFiles.ParseText("a.yml", text + "more: 1\n").Error!.Location!.Value.Line.ShouldBe(ConfigLimits.KeysPerFile + 1);
    }

    [Fact]
    public void A_file_over_the_size_limit_is_refused() =>
        ConfigFileParser.Parse("a.yml", new byte[ConfigLimits.FileBytes + 1]).Error!.Message.ShouldContain("limit");

    [Fact]
    public void Entries_know_their_lines() =>
        ConfigFiles.ParseText("a.yml", "# c\na:\n  b: 1\n\n  c: [x,\n   y]\n").Documents[0].Entries.Select(e => e.Line).ShouldBe([3, 5, 6]);
}
