using System.Text;
using Lockstep.Config;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class PlaceholderTests
{
    [Theory]
    [InlineData("${a}", "#1")]
    [InlineData("x${a}y", "x1y")]
    [InlineData("${t}", "?true")]
    [InlineData("${t}!", "true!")]
    [InlineData("${ a }", "#1")]
    [InlineData("${nope}", "${nope}")]
    [InlineData("${nope:5}", "5")]
    [InlineData("${nope:}", "")]
    [InlineData("${nope:${a}}", "#1")]
    [InlineData("${nope:${also:deep}}", "deep")]
    [InlineData("${nope:{\"j\":{}}}", "{\"j\":{}}")]
    [InlineData("${nope:http://h:80}", "http://h:80")]
    [InlineData("${n.${which}}", "found")]
    [InlineData("${n.${nope:b}}", "found")]
    [InlineData("${n.${nope}}", "${n.${nope}}")]
    [InlineData("\\${a}", "${a}")]
    [InlineData("\\\\${a}", "\\${a}")]
    [InlineData("\\${a} ${a}", "${a} 1")]
    [InlineData("${nope:\\${a}}", "${a}")]
    [InlineData("${literal}", "${a}")]
    [InlineData("${list[1]}", "y")]
    [InlineData("${a:b}", "#1")]
    [InlineData("${co:lon}", "colon")]
    [InlineData("${a", "${a")]
    [InlineData("$a $ {a} }", "$a $ {a} }")]
    [InlineData("${}", "${}")]
    [InlineData("#{spel} {cipher}abc", "#{spel} {cipher}abc")]
    public void Placeholders_expand(string text, string expected)
    {
        var quoted = text.Replace("'", "''", StringComparison.Ordinal);
        var files = new ConfigFiles(("app.yml", $"a: 1\nt: yes\nn.b: found\nwhich: b\nliteral: '\\${{a}}'\nlist: [x, y]\n'co:lon': colon\nk: '{quoted}'\n"));
        files.Values()["k"].ShouldBe(expected);
    }

    [Theory]
    [InlineData("${secret:payments/db}", "<payments/db>")]
    [InlineData("${ secret:payments/db }", "<payments/db>")]
    [InlineData("${secret:payments/db#password}", "<payments/db#password>")]
    [InlineData("${secret:payments/db@3}", "<payments/db@3>")]
    [InlineData("${secret:payments/db#a%20b%2f%C3%BC@12}", "<payments/db#a b/ü@12>")]
    [InlineData("u:${secret:a}@h/${secret:b}", "u:<a>@h/<b>")]
    [InlineData("${nope:${secret:a}}", "<a>")]
    [InlineData("${viaKey}", "<other#f>")]
    [InlineData("x${viaKey}${viaText}", "x<other#f>[<other#f>]")]
    [InlineData("\\${secret:a}", "${secret:a}")]
    [InlineData("${secret}", "plain")]
    public void References_stay_references_and_taint_what_is_built_of_them(string text, string expected)
    {
        var files = new ConfigFiles(("app.yml", $"viaKey: ${{secret:other#f}}\nviaText: '[${{viaKey}}]'\nsecret: plain\nk: '{text}'\n"));
        files.Values()["k"].ShouldBe(expected);
        var references = files.Resolve().Values.Single(v => v.Key == "k").Value.References.ToList();
        references.Count.ShouldBe(expected.Split('<').Length - 1);
    }

    [Theory]
    [InlineData("${secret:}", "no valid secret id")]
    [InlineData("${secret:a b}", "no valid secret id")]
    [InlineData("${secret:../x}", "no valid secret id")]
    [InlineData("${secret:/a}", "no valid secret id")]
    [InlineData("${secret:a@}", "integer")]
    [InlineData("${secret:a@0}", "integer")]
    [InlineData("${secret:a@-1}", "integer")]
    [InlineData("${secret:a@99999999999}", "integer")]
    [InlineData("${secret:a@b@1}", "no valid secret id")]
    [InlineData("${secret:a@1#f}", "integer")]
    [InlineData("${secret:a#}", "field")]
    [InlineData("${secret:a#b c}", "field")]
    [InlineData("${secret:a#%ZZ}", "field")]
    [InlineData("${secret:a#%FF}", "field")]
    [InlineData("${secret:a:hunter2}", "no default")]
    [InlineData("${secret:${x}}", "can't hold a placeholder")]
    [InlineData("${secret:a", "not closed")]
    [InlineData("${x ${secret:a}", "not closed")]
    [InlineData("${db.${s}}", "built from a secret")]
    [InlineData("${${secret:a}:x}", "built from a secret")]
    [InlineData("${nope:${secret:a b}}", "no valid secret id")]
    public void Bad_references_are_errors_with_their_place(string text, string message)
    {
        var resolved = new ConfigFiles(("application.yml", $"s: ${{secret:z}}\n\nk: '{text}'\n"), ("app.yml", "a: 1")).Resolve();
        var error = resolved.Errors.ShouldHaveSingleItem();
        error.Message.ShouldContain(message);
        error.Message.ShouldNotContain("hunter2");
        error.Location.ShouldBe(new SourceLocation("application.yml", 3));
        error.Key.ShouldBe("k");
        resolved.Values.ShouldBeEmpty();
    }

    [Fact]
    public void A_cycle_is_one_error_that_names_the_chain()
    {
        var resolved = new ConfigFiles(("application.yml", "b: x${c}\nc: ${a:no}\n"), ("app.yml", "a: ${b}\nuser: ${a}\n")).Resolve();
        resolved.Errors.ShouldHaveSingleItem().ToString().ShouldBe(
            "app.yml:1: a: placeholders go round in a circle: a (app.yml:1) → b (application.yml:1) → c (application.yml:2) → a");
    }

    [Fact]
    public void A_key_that_names_itself_is_a_cycle() => new ConfigFiles(("app.yml", "a: ${a:1}")).Resolve().Errors.ShouldHaveSingleItem();

    [Fact]
    public void Unknown_placeholders_are_warnings_with_their_place()
    {
        var warning = new ConfigFiles(("app.yml", "a: 1\nb: ${HOME}")).Resolve().Warnings.ShouldHaveSingleItem();
        warning.Location.ShouldBe(new SourceLocation("app.yml", 2));
        warning.Message.ShouldContain("${HOME}");
    }

    [Fact]
    public void Overridden_values_are_not_looked_at() =>
        new ConfigFiles(("application.yml", "a: ${secret:}\n"), ("app.yml", "a: 1")).Values().ShouldContainKeyAndValue("a", "#1");

    [Fact]
    public void Bombs_of_placeholders_end_in_errors_quickly()
    {
        var doubling = new StringBuilder("a0: xxxxxxxxxx\n");
        for (var i = 1; i < 31; i++) doubling.Append(null, $"a{i}: ${{a{i - 1}}}${{a{i - 1}}}\n");
        new ConfigFiles(("app.yml", doubling.ToString())).Resolve().Errors.ShouldNotBeEmpty();

        var wide = new StringBuilder("big: ").Append('x', 900_000).Append('\n');
        for (var i = 0; i < 4_000; i++) wide.Append(null, $"k{i}: y${{big}}\n");
        new ConfigFiles(("app.yml", wide.ToString())).Resolve().Errors.ShouldHaveSingleItem().Message.ShouldContain("document");

        var failing = new StringBuilder("big: ").Append('x', 900_000).Append('\n');
        for (var i = 0; i < 4_000; i++) failing.Append(null, $"k{i}: ${{big}}${{big}}\n");
        new ConfigFiles(("app.yml", failing.ToString())).Resolve().Errors.Length.ShouldBeLessThanOrEqualTo(101);

        var names = new StringBuilder("big: ").Append('x', 900_000).Append('\n');
        for (var i = 0; i < 4_000; i++) names.Append(null, $"k{i}: ${{nope.${{big}}:}}\n");
        new ConfigFiles(("app.yml", names.ToString())).Resolve().Errors.ShouldHaveSingleItem().Message.ShouldContain("document");

        var copies = new StringBuilder("big: ").Append('x', 900_000).Append('\n');
        for (var i = 0; i < 4_000; i++) copies.Append(null, $"k{i}: ${{big}}\n");
        new ConfigFiles(("app.yml", copies.ToString())).Resolve().Errors.ShouldHaveSingleItem().Message.ShouldContain("document");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Chains_of_keys_are_bounded_in_either_direction(bool up)
    {
        ConfigFiles Chain(int length) => new(("app.yml", string.Concat(Enumerable.Range(0, length).Select(i =>
            i == (up ? length - 1 : 0) ? $"k{i:D6}: end\n" : $"k{i:D6}: ${{k{(up ? i + 1 : i - 1):D6}}}\n"))));
        Chain(30).Resolve().Errors.ShouldBeEmpty();
        Chain(10_000).Resolve().Errors.ShouldNotBeEmpty();
    }

    [Theory]
    [InlineData("${")]
    [InlineData("${a:")]
    [InlineData("${a${")]
    [InlineData("{")]
    [InlineData("\\${")]
    [InlineData("${}")]
    [InlineData("${nope}")]
    [InlineData("${secret:a}")]
    public void Hostile_texts_are_bounded(string part)
    {
        var text = string.Concat(Enumerable.Repeat(part, 50_000));
        foreach (var closed in new[] { text, text + new string('}', 50_000) })
        {
            var resolved = new ConfigFiles(("app.properties", "k=" + closed.Replace("\\", "\\\\", StringComparison.Ordinal))).Resolve();
            resolved.Errors.Length.ShouldBeLessThan(2);
            resolved.Warnings.Length.ShouldBeLessThanOrEqualTo(100);
        }
    }

    [Fact]
    public void Random_templates_never_throw_and_always_resolve_the_same()
    {
        var random = new Random(7);
        string[] parts = ["${", "}", ":", "a", "b", "c", "secret:", "x/y", "#", "@1", "\\", "{", " ", "${a}", "${b:d}", "${secret:s}"];
        for (var round = 0; round < 3000; round++)
        {
            string Text() => string.Concat(Enumerable.Range(0, random.Next(8)).Select(_ => parts[random.Next(parts.Length)])).Replace("'", "", StringComparison.Ordinal);
            var files = new ConfigFiles(("app.yml", $"a: '{Text()}'\nb: '{Text()}'\n"), ("application.yml", $"b: '{Text()}'\nc: '{Text()}'\n"));
            var (first, second) = (files.Resolve(), files.Resolve());
            first.Errors.ShouldBe(second.Errors);
            first.Values.Select(v => (v.Key, ConfigFiles.Show(v.Value))).ShouldBe(second.Values.Select(v => (v.Key, ConfigFiles.Show(v.Value))));
        }
    }
}
