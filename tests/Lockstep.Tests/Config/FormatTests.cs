using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Formats;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class FormatTests
{
    [Theory]
    [InlineData("a.b=1|a.c=x", """{"a":{"b":1,"c":"x"}}""")]
    [InlineData("a.b=x|a.b.c=y|a.b.c.d=z", """{"a":{"b":"x","b.c":"y","b.c.d":"z"}}""")]
    [InlineData("a[0][1].b=x|a[2]=y", """{"a":[[null,{"b":"x"}],null,"y"]}""")]
    [InlineData("a[0]=x|a[0].b=y|a[1]=z", """{"a[0]":"x","a[0].b":"y","a[1]":"z"}""")]
    [InlineData("a=x|a[0]=y", """{"a":"x","a[0]":"y"}""")]
    [InlineData("a[0]=x|a.b=y", """{"a":["x"],"a.b":"y"}""")]
    [InlineData("a[k.l].b=x|a[k.l][0]=y", """{"a[k.l]":["y"],"a[k.l].b":"x"}""")]
    [InlineData("a[0][k]=x", """{"a":[{"[k]":"x"}]}""")]
    [InlineData("a..b=x|a.[b]=y|.a=z|a.=w|a[0]b=v|=u", """{"":"u",".a":"z","a.":"w","a..b":"x","a.[b]":"y","a[0]b":"v"}""")]
    [InlineData("[0].a=x|[0]=y", """{"[0]":"y","[0].a":"x"}""")]
    [InlineData("a[999999]=x", """{"a[999999]":"x"}""")]
    [InlineData("a[01]=x", """{"a[01]":"x"}""")]
    [InlineData("", "{}")]
    public void Nested_json_is_the_tree_of_the_keys(string keys, string expected) =>
        DocumentFormat.Write("nested", Values(keys)).ShouldBe(expected);

    [Fact]
    [Trait("speed", "medium")]
    public void Upstream_format_cases_hold()
    {
        if (SharedFiles.Find("conformance/spring/cases.json") is not { } cases) return;
        using var json = JsonDocument.Parse(File.ReadAllBytes(cases));
        var ran = 0;
        foreach (var test in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            var id = test.GetProperty("id").GetString()!;
            var path = test.GetProperty("request").GetProperty("path").GetString()!;
            if (!(id.StartsWith("fmt-", StringComparison.Ordinal) || id.StartsWith("ph-", StringComparison.Ordinal)) || path.Contains("resolvePlaceholders=false", StringComparison.Ordinal) && id.Contains("laceholder", StringComparison.Ordinal)) continue;
            var file = path.TrimStart('/').Split('?')[0];
            if (!file.Contains('.', StringComparison.Ordinal)) continue;
            var (service, environment) = (file[..file.LastIndexOf('-')], file[(file.LastIndexOf('-') + 1)..file.LastIndexOf('.')]);
            var files = ConfigFiles.FromBundle(SharedFiles.Find("conformance/spring/" + test.GetProperty("server").GetProperty("repo").GetString())!);
            var values = files.Resolve(service, environment).Values.Select(v => (v.Key, ((ConfigValue.Scalar)v.Value).Value)).ToList();
            var expect = test.GetProperty("expect");
            var nested = DocumentFormat.Write("nested", values);
            if (expect.TryGetProperty("bodyJsonEquals", out var equal) || expect.TryGetProperty("bodyYamlEquals", out equal))
                JsonElement.DeepEquals(JsonDocument.Parse(nested).RootElement, equal).ShouldBeTrue($"{id}: {nested}");
            else if (file.EndsWith(".json", StringComparison.Ordinal))
                nested.ShouldBe(expect.GetProperty("body").GetString(), id);
            else
                Flat("a.yml", DocumentFormat.Write("yaml", values)).ShouldBe(Flat("a.yml", expect.GetProperty("body").GetString()!), id);
            ran++;
        }
        ran.ShouldBeGreaterThan(12);
    }

    [Theory]
    [InlineData("yaml", "a.yml")]
    [InlineData("nested", "a.json")]
    [InlineData("properties", "a.properties")]
    public void What_is_written_reads_back_the_same(string format, string path)
    {
        var random = new Random(11);
        for (var round = 0; round < 2000; round++)
        {
            var values = Enumerable.Range(0, random.Next(1, 12)).Select(_ => (Key: RandomKey(random), Value: RandomValue(random)))
                .DistinctBy(v => v.Key, StringComparer.Ordinal).OrderBy(v => v.Key, StringComparer.Ordinal).ToList();
            if (path != "a.properties" && values.Any(v => HasGap(v.Key, values))) continue;
            var text = DocumentFormat.Write(format, values);
            var expected = values.Select(v => format == "properties" ? $"{v.Key}={v.Value.Text}" : $"{v.Key}={v.Value.Kind}:{v.Value.Text}").Order(StringComparer.Ordinal);
            var file = ConfigFiles.ParseText(path, text);
            file.Error.ShouldBeNull(text);
            file.Documents.SelectMany(d => d.Entries).Select(e => format == "properties" ? $"{e.Key}={e.Value.Text}" : $"{e.Key}={e.Value.Kind}:{e.Value.Text}")
                .Order(StringComparer.Ordinal).ShouldBe(expected, text);
        }
    }

    [Fact]
    public void Keys_longer_than_yaml_allows_unmarked_read_back()
    {
        List<(string, ScalarValue)> values = [(new string('k', 3000), Text("v")), (new string('l', 900) + "." + new string('m', 2000) + "[0].x", Text("w"))];
        Flat("a.yml", DocumentFormat.Write("yaml", values)).ShouldBe(values.Select(v => $"{v.Item1}={v.Item2.Text}"));
    }

    [Theory]
    [InlineData("y", "\"y\"")]
    [InlineData("No", "\"No\"")]
    [InlineData("1:30", "\"1:30\"")]
    [InlineData("0x1f", "\"0x1f\"")]
    [InlineData("", "\"\"")]
    [InlineData("plain-text/x.y", "plain-text/x.y")]
    [InlineData("a: b", "\"a: b\"")]
    [InlineData("l1\nl2", "\"l1\\nl2\"")]
    public void Yaml_quotes_what_some_reader_could_mistake(string text, string expected) =>
        DocumentFormat.Write("yaml", [("k", Text(text))]).ShouldBe($"k: {expected}\n");

    [Fact]
    public void Yaml_numbers_are_numbers_for_readers_of_both_versions() =>
        DocumentFormat.Write("yaml", [("a", new(ScalarKind.Number, "1e3")), ("b", new(ScalarKind.Number, "-2.5E-7")), ("c", new(ScalarKind.Number, "10"))])
            .ShouldBe("a: 1.0e+3\nb: -2.5e-7\nc: 10\n");

    [Fact]
    public void A_shell_reads_dotenv_back_exactly()
    {
        var random = new Random(5);
        List<(string Key, ScalarValue Value)> values =
        [
            ("plain", Text("http://h:80/p?q")), ("empty", Text("")), ("space", Text(" a  b ")), ("dollar", Text("$HOME `id` $(id) ${x}")), ("quote", Text("it's")),
            ("both", Text("it's \"$5\" \\ `x`")), ("lines", Text("a\nb\n\n'c'\n")), ("back", Text("a\\nb\\")), ("hash", Text("#no # comment")), ("tilde", Text("~/x")), ("utf", Text("grüße 😀")), ("bang", Text("'!x")),
        ];
        for (var i = 0; i < 100; i++) values.Add(($"r.{i}", RandomValue(random) with { Kind = ScalarKind.String }));
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, DocumentFormat.Write("dotenv", values));
            var start = new ProcessStartInfo("/bin/sh", ["-c", "set -a; . \"$1\"; exec env -0", "sh", file]) { RedirectStandardOutput = true, StandardOutputEncoding = new UTF8Encoding(false), UseShellExecute = false };
            using var shell = Process.Start(start)!;
            var variables = shell.StandardOutput.ReadToEnd().Split('\0').Where(v => v.Length > 0).ToDictionary(v => v.Split('=')[0], v => v[(v.IndexOf('=', StringComparison.Ordinal) + 1)..], StringComparer.Ordinal);
            shell.WaitForExit();
            shell.ExitCode.ShouldBe(0);
            foreach (var (key, value) in values) variables[EnvironmentName.From(key)].ShouldBe(value.Text);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("db.password", "DB_PASSWORD")]
    [InlineData("db.hosts[0].name", "DB_HOSTS_0_NAME")]
    [InlineData("a--b..c", "A_B_C")]
    [InlineData("1st", "_1ST")]
    [InlineData("größe", "GR_E")]
    [InlineData("camelCase", "CAMELCASE")]
    public void Keys_become_names_of_variables(string key, string name) => EnvironmentName.From(key).ShouldBe(name);

    [Theory]
    [InlineData("ld.preload")]
    [InlineData("dyld-insert-libraries")]
    [InlineData("path")]
    [InlineData("node.options")]
    [InlineData("pythonpath")]
    [InlineData("bash_env")]
    [InlineData("lockstep.token")]
    [InlineData("dotnet.startup.hooks")]
    [InlineData("git.ssh.command")]
    [InlineData("java.tool.options")]
    public void Names_that_change_how_programs_load_are_refused(string key)
    {
        EnvironmentName.IsRefused(EnvironmentName.From(key)).ShouldBeTrue();
        Should.Throw<LockstepException>(() => DocumentFormat.Write("dotenv", [(key, Text("x"))])).Code.ShouldBe(ErrorCode.BadRequest);
    }

    [Fact]
    public void Two_keys_that_give_one_name_are_refused_by_name()
    {
        var error = Should.Throw<LockstepException>(() => DocumentFormat.Write("dotenv", [("a.b", Text("1")), ("a-b", Text("2"))]));
        error.Code.ShouldBe(ErrorCode.BadRequest);
        error.Message.ShouldContain("'a.b'");
        error.Message.ShouldContain("'a-b'");
    }

    [Fact]
    public void A_value_no_variable_can_hold_and_an_unknown_format_are_refused()
    {
        Should.Throw<LockstepException>(() => DocumentFormat.Write("dotenv", [("a", Text("x\0y"))]));
        Should.Throw<LockstepException>(() => DocumentFormat.Write("xml", []));
    }

    private static ScalarValue Text(string text) => new(ScalarKind.String, text);

    private static List<(string, ScalarValue)> Values(string keys) =>
        [.. keys.Split('|', StringSplitOptions.RemoveEmptyEntries).Select(k => (k[..k.LastIndexOf('=')], k.EndsWith('1') ? new ScalarValue(ScalarKind.Number, "1") : Text(k[(k.LastIndexOf('=') + 1)..])))];

    private static string[] Flat(string path, string text) => [.. ConfigFiles.Entries(path, text).Order(StringComparer.Ordinal)];

    private static bool HasGap(string key, List<(string Key, ScalarValue Value)> values)
    {
        for (var open = key.IndexOf('[', StringComparison.Ordinal); open >= 0; open = key.IndexOf('[', open + 1))
        {
            var close = key.IndexOf(']', open);
            if (close < 0 || !int.TryParse(key.AsSpan(open + 1, close - open - 1), out var index)) continue;
            for (var i = 0; i < index; i++)
                if (!values.Any(v => v.Key.StartsWith($"{key[..open]}[{i}]", StringComparison.Ordinal))) return true;
        }
        return false;
    }

    private static string RandomKey(Random random)
    {
        string[] parts = ["a", "b", "c", ".a", ".b", "[0]", "[1]", "[x]", "[x.y]", "..", ".[", "]", "[", "ü", "-", "no", "1", ":", "#", "é b"];
        var key = string.Concat(Enumerable.Range(0, random.Next(1, 6)).Select(_ => parts[random.Next(parts.Length)]));
        return key.EndsWith("[]", StringComparison.Ordinal) ? key + "x" : key;
    }

    private static ScalarValue RandomValue(Random random)
    {
        string[] parts = ["a", " ", "'", "\"", "$", "`", "\\", "\n", "\t", "#", ":", "- ", "ü", "😀", "${a}", "true", "1", "~", "=", "\u00a0", "\u0085", "!", "\r", "\ufeff", "&", "*", "|", ">", "%", "@"];
        return random.Next(6) switch
        {
            0 => new(ScalarKind.Boolean, random.Next(2) == 0 ? "true" : "false"),
            1 => new(ScalarKind.Number, random.Next(-1000, 1000).ToString()),
            _ => Text(string.Concat(Enumerable.Range(0, random.Next(8)).Select(_ => parts[random.Next(parts.Length)]))),
        };
    }
}
