using System.Text;
using Lockstep.Compat.Spring;
using Lockstep.Config;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;
using YamlDotNet.RepresentationModel;

namespace Lockstep.Tests.Compat.Spring;

[Trait("speed", "medium")]
public sealed class SpringFlatTests
{
    private static readonly (string Name, string Text)[] s_files =
    [
        ("shop.yml", "spring.profiles: old\nn: 1\nb: true\ntext: a b\nempty: ''\nlist: [x, {k: v}]\n"), ("shop-dev.yml", "list: [z]\n"),
        ("types.yml", "ref: ${n}\nn: 3\ns: '3'\nt: 'true'\ndate: '2020-01-02'\ncolon: 'a: b'\nhash: 'a #b'\nlines: \"x\\ny\\n\"\nquote: it's\nstar: '*x'\nnothing: null\n"),
        ("dots.properties", "a.b=1\na.b.c=2\na[0]=no\nm[k.x].y=3\n"),
        ("bad.properties", "a..b=1\n"), ("worse.properties", "a.[x]=1\n"), ("bomb.properties", "a[99999]=1\nb[99999]=1\n"), ("deep.properties", string.Concat(Enumerable.Repeat("a.", 5000)) + "b=1\n"),
        ("list.yml", "- a\n- b: c\n"), ("word.yml", "just text\n"), ("off.yml", "a: []\n"), ("off-dev.yml", "a: [1]\n"), ("on.yml", "a: [1]\n"), ("on-dev.yml", "a: []\n"),
        ("esc.yml", "a: \\${b}\nb: 1\nc: ${ b }\nd: ${x${b}:${b}}\ne: ${none}\n"),
    ];

    [Theory]
    [InlineData("shop-dev.properties", "b: true\nempty: \nlist[0]: z\nn: 1\ntext: a b")]
    [InlineData("shop-dev.yml", "b: true\nempty: ''\nlist:\n- z\nn: 1\ntext: a b\n")]
    [InlineData("shop-prod.yaml", "b: true\nempty: ''\nlist:\n- x\n- k: v\nn: 1\ntext: a b\n")]
    [InlineData("shop-prod.json", """{"b":true,"empty":"","list":["x",{"k":"v"}],"n":1,"text":"a b"}""")]
    [InlineData("main/shop-dev.json", """{"b":true,"empty":"","list":["z"],"n":1,"text":"a b"}""")]
    [InlineData("types-dev.yml", "colon: 'a: b'\ndate: '2020-01-02'\nhash: 'a #b'\nlines: |\n  x\n  y\nn: 3\nnothing: ''\nquote: it's\nref: '3'\ns: '3'\nstar: '*x'\nt: 'true'\n")]
    [InlineData("types-dev.yml?resolvePlaceholders=false", "colon: 'a: b'\ndate: '2020-01-02'\nhash: 'a #b'\nlines: |\n  x\n  y\nn: 3\nnothing: ''\nquote: it's\nref: ${n}\ns: '3'\nstar: '*x'\nt: 'true'\n")]
    [InlineData("dots-dev.json", """{"a":{"b":"1","b.c":"2"},"a[0]":"no","m[k.x]":{"y":"3"}}""")]
    [InlineData("bad-dev.yml", null)]
    [InlineData("worse-dev.json", null)]
    [InlineData("bad-dev.properties", "a..b: 1")]
    [InlineData("bomb-dev.json", null)]
    [InlineData("list-dev.yml", "- a\n- b: c\n")]
    [InlineData("list-dev.json", """{"document":["a",{"b":"c"}]}""")]
    [InlineData("word-dev.yml", "just text\n")]
    [InlineData("off-dev.json", """{"a":"","a[0]":1}""")]
    [InlineData("on-dev.json", """{"a":"","a[0]":1}""")]
    [InlineData("on-dev.properties", "a: \na[0]: 1")]
    [InlineData("esc-dev.properties", "a: ${b}\nb: 1\nc: 1\nd: 1\ne: ${none}")]
    [InlineData("esc-dev.properties?resolvePlaceholders=false", "a: \\${b}\nb: 1\nc: ${ b }\nd: ${x${b}:${b}}\ne: ${none}")]
    [InlineData("none-dev.yml", "{}\n")]
    [InlineData("none-dev.properties", "")]
    [InlineData("a-b-c-dev.json", "{}")]
    public async Task A_flat_form_merges_as_Spring_does(string path, string? body)
    {
        using var repository = TestRepository.With(s_files);
        await using var server = await TestServer.StartAsync(repository);
        var answer = await server.Admin.GetAsync("/spring/" + path);
        answer.Status.ShouldBe(body is null ? 400 : 200, answer.Text);
        if (body is null) return;
        answer.Text.ShouldBe(body);
        answer.Header("Content-Type")!.Replace(" ", "", StringComparison.Ordinal).ShouldBe(path.Contains(".json", StringComparison.Ordinal) ? "application/json" : "text/plain;charset=UTF-8");
    }

    [Fact]
    public void A_key_of_any_depth_and_length_costs_neither_stack_nor_time()
    {
        foreach (var key in new[]
        {
            string.Concat(Enumerable.Repeat("a.", 100_000)) + "b" + string.Concat(Enumerable.Repeat("[0]", 100_000)), string.Concat(Enumerable.Repeat("a.", 300)) + "b",
            "a" + string.Concat(Enumerable.Repeat("[0]", 300)), new string('[', 4_000_000),
        })
            FlatTree.Build([(key, new ScalarValue(ScalarKind.String, "x"))]).Members.Single().Key.ShouldBe(key);
    }

    // By hand: a word goes into the next line when the line before the space is longer than 80.
    [Theory]
    [InlineData("a", 77, "a: {77} b")]
    [InlineData("a", 78, "a: {78}\n  b")]
    [InlineData("a.b", 76, "a:\n  b: {76}\n    b")]
    [InlineData("a[0]", 79, "a:\n- {79}\n  b")]
    [InlineData("a[0][0]", 77, "a:\n- - {77}\n    b")]
    [InlineData("a", 100, "a: {100}\n  b")]
    public void A_plain_value_is_folded_past_column_80(string key, int letters, string expected)
    {
        Dump(key, new string('x', letters) + " b").ShouldBe(expected.Replace($"{{{letters}}}", new string('x', letters), StringComparison.Ordinal) + "\n");
    }

    [Theory]
    [InlineData("{78} b c", "a: {78}\n  b c")]
    [InlineData("{78}  b c", "a: {78}  b\n  c")]
    [InlineData("{77} it's #x", "a: '{77}\n  it''s #x'")]
    [InlineData("{76} #x y", "a: '{76} #x\n  y'")]
    [InlineData(" {76} #x", "a: ' {76}\n  #x'")]
    [InlineData("{77}: b ", "a: '{77}:\n  b '")]
    [InlineData("\t{75} b cd", "a: \"\\t{75}\\\n  \\ b cd\"")]
    [InlineData("\t{74} b cd", "a: \"\\t{74} b\\\n  \\ cd\"")]
    [InlineData("{77}\tbc", "a: \"{77}\\t\\\n  bc\"")]
    public void A_value_is_folded_in_its_quotes(string text, string expected)
    {
        static string Filled(string t) => System.Text.RegularExpressions.Regex.Replace(
            t, @"\{(\d+)\}", m => new string('x', int.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture)));
        Dump("a", Filled(text)).ShouldBe(Filled(expected) + "\n");
    }

    private static string Dump(string key, string text) => SnakeYaml.Write(FlatTree.Build([(key, new ScalarValue(ScalarKind.String, text))]));

    [Fact]
    public void Whatever_text_is_dumped_as_YAML_is_read_back_the_same()
    {
        var seed = Environment.TickCount;
        var random = new Random(seed);
        string[] pieces = ["a", "B", "1", "0x1", ":", ": ", " ", "#", " #", "'", "\"", "\\", "\n", "\n\n", "\t", "-", "- ", "?", "!", "&", "*", "{", "}", "[", "]", ",", "%", "@", "`", "|", ">", "~", "null", "true", "yes", "é", "😀", "\u0085", "\u2028", "=", "<<", "---", "...", "2001-01-01", "1e3", "1:30", "word ", new('x', 40), new('y', 79)];
        for (var i = 0; i < 3_000; i++)
        {
            var map = new FlatNode.Map();
            var list = new FlatNode.Sequence();
            string Text() => string.Concat(Enumerable.Range(0, random.Next(9)).Select(_ => pieces[random.Next(pieces.Length)]));
            // The reader here takes a plain key with " *" in it for several lines.
            var (key, value, item) = (Text().Replace('*', '+'), Text(), Text());
            list.Items.AddRange([Leaf(item), null, new FlatNode.Sequence { Items = { Leaf(item) } }]);
            map.Set("k" + key, Leaf(value));
            var inner = new FlatNode.Map();
            inner.Set("v", Leaf(value));
            inner.Set("w", Leaf(item));
            list.Items.Add(inner);
            map.Set("z", list);
            var text = SnakeYaml.Write(map);
            var context = $"seed {seed}: {text}";
            var stream = new YamlStream();
            Should.NotThrow(() => stream.Load(new StringReader(text)), context);
            var root = (YamlMappingNode)stream.Documents[0].RootNode;
            ((YamlScalarNode)root.Children[0].Key).Value.ShouldBe("k" + key, context);
            ((YamlScalarNode)root.Children[0].Value).Value.ShouldBe(value, context);
            var items = (YamlSequenceNode)root.Children[1].Value;
            ((YamlScalarNode)items[0]).Value.ShouldBe(item, context);
            ((YamlScalarNode)items[2][0]).Value.ShouldBe(item, context);
            ((YamlScalarNode)items[3]["w"]).Value.ShouldBe(item, context);
        }

        static FlatNode.Leaf Leaf(string text) => new(new ScalarValue(ScalarKind.String, text));
    }

    [Theory]
    [InlineData("foo/default/main/a.txt", "plain", "shop")]
    [InlineData("foo/dev/main/a.txt", "dev", "shop")]
    [InlineData("foo/prod,dev/main/a.txt", "dev", "shop")]
    [InlineData("foo/default,dev/main/a.txt", "plain", "shop")]
    [InlineData("foo/dev/main/noext", "noext-dev", "shop")]
    [InlineData("foo/dev/main/dir/b.conf", "k=1 ${x}", "shop")]
    [InlineData("foo/dev/main/dir/b.conf?resolvePlaceholders=false", "k=${k} ${x}", "shop")]
    [InlineData("foo/dev/a.txt?useDefaultLabel", "dev", "shop")]
    [InlineData("foo/dev/a.txt?useDefaultLabel=true", "dev", "shop")]
    [InlineData("foo/dev/main/only.txt", "of foo", "shop")]
    [InlineData("foo/dev/main/twice.txt", "root", "shop")]
    [InlineData("foo/dev/main/wild.txt", "one", "shop")]
    [InlineData("foo/dev/main/foo.yml", "k: 1\nc: '{cipher}00'\n", "shop")]
    [InlineData("foo/dev/main/link.txt", null, "404")]
    [InlineData("foo/dev/main/up/a.txt", null, "404")]
    [InlineData("foo/dev/main/dir", null, "404")]
    [InlineData("foo/dev/main/none.txt", null, "404")]
    [InlineData("foo/dev/main/bar/of.txt", "of bar", "shop")]
    [InlineData("foo/dev/nope/a.txt", null, "404")]
    [InlineData("foo/dev/main/WEB-INF/a.txt", null, "404")]
    [InlineData("foo/dev/main/.git/config", null, "404")]
    [InlineData("foo/dev/main/big.bin", null, "413")]
    public async Task A_plain_text_file_is_found_in_the_search_locations(string path, string? body, string status)
    {
        using var repository = Files();
        await using var server = await TestServer.StartAsync(repository, o => o with { Config = o.Config with { SearchPaths = ["{application}", "w*/x"] } });
        var answer = await server.Admin.GetAsync("/spring/" + path);
        answer.Status.ShouldBe(body is null ? int.Parse(status, System.Globalization.CultureInfo.InvariantCulture) : 200, answer.Text.Length > 500 ? "" : answer.Text);
        if (body is null) return;
        answer.Text.ShouldBe(body);
        answer.Header("Content-Type")!.Replace(" ", "", StringComparison.Ordinal).ShouldBe("text/plain;charset=UTF-8");
    }

    [Fact]
    public async Task A_file_is_sent_as_bytes_in_a_charset_and_not_again_while_it_is_unchanged()
    {
        using var repository = Files();
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, time: time);
        const string Path = "/spring/foo/dev/main/bytes.bin";
        var raw = (await server.Admin.GetAsync(Path, ("Accept", "application/octet-stream"))).Ok();
        raw.Header("Content-Type").ShouldBe("application/octet-stream");
        raw.Body.ShouldBe([.. "${k} "u8, 0xE9, 0xFF, 0]);
        (await server.Admin.GetAsync(Path, ("Accept-Charset", "ISO-8859-1"))).Ok().Body.ShouldBe(Encoding.UTF8.GetBytes("1 éÿ\0"));
        (await server.Admin.GetAsync(Path, ("Accept-Charset", "no-such"))).Ok().Text.ShouldStartWith("1 ");
        var units = Encoding.BigEndianUnicode.GetBytes("k=${k} é");
        foreach (var (name, bytes, charset) in new (string, byte[], string)[]
        {
            ("be.txt", units, "UTF-16"), ("be-bom.txt", [0xFE, 0xFF, .. units], "utf-16"), ("le-bom.txt", [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("k=${k} é")], "UTF-16"),
            ("le.txt", Encoding.Unicode.GetBytes("k=${k} é"), "UTF-16LE"), ("be.txt", units, "UTF-16BE"),
        })
        {
            repository.Commit(name, bytes);
            await server.RefreshAsync();
            (await server.Admin.GetAsync("/spring/foo/dev/main/" + name, ("Accept-Charset", charset))).Ok().Text.ShouldBe("k=1 é", name + charset);
        }
        time.Advance(TimeSpan.FromSeconds(5));
        var first = (await server.Admin.GetAsync(Path)).Ok().Header("Last-Modified")!;
        var again = await server.Admin.GetAsync(Path, ("If-Modified-Since", first));
        (again.Status, again.Body.Length).ShouldBe((304, 0));
        (await (await server.AsAsync("writer", t => t with { Services = ["other"] })).GetAsync(Path, ("If-Modified-Since", first))).Status.ShouldBe(403);
        time.Advance(TimeSpan.FromSeconds(5));
        repository.Commit("bytes.bin", "new"u8.ToArray());
        await server.RefreshAsync();
        (await server.Admin.GetAsync(Path, ("If-Modified-Since", first))).Ok().Text.ShouldBe("new");
        // In the second of a release another may follow: what was read in it is read again.
        var early = (await server.Admin.GetAsync(Path)).Ok().Header("Last-Modified")!;
        (await server.Admin.GetAsync(Path, ("If-Modified-Since", early))).Status.ShouldBe(200);
    }

    [Fact]
    public async Task A_large_file_is_filled_in_and_a_wildcard_leads_to_it_among_many_directories()
    {
        using var repository = new TestRepository();
        for (var i = 0; i < 2_100; i++) repository.Write($"d{i}/none.md", "x"u8.ToArray());
        repository.Write("d2000/deep/conf/big.txt", Encoding.UTF8.GetBytes("k=${k}" + new string('x', 2 * 1024 * 1024)));
        repository.Write("d2000/deep/conf/bomb.txt", Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat("${l}", 10))));
        repository.Write("foo.yml", Encoding.UTF8.GetBytes($"k: 1\nl: {new string('x', 1_000_000)}\n"));
        repository.CommitAll();
        await using var server = await TestServer.StartAsync(repository, o => o with { Config = o.Config with { SearchPaths = ["**"] } });
        (await server.Admin.GetAsync("/spring/foo/dev/main/big.txt")).Ok().Text.ShouldStartWith("k=1xxx");
        var bomb = await server.Admin.GetAsync("/spring/foo/dev/main/bomb.txt");
        (bomb.Status, bomb.Text.Contains('}', StringComparison.Ordinal) && bomb.Text.Contains(": }", StringComparison.Ordinal)).ShouldBe((400, false));
        (await server.Admin.GetAsync("/spring/foo/dev/main/none.txt")).Status.ShouldBe(404);
        var many = await server.Admin.GetAsync("/spring/foo/dev/main/none.md");
        (many.Status, many.Text.Contains("the limit is 256", StringComparison.Ordinal)).ShouldBe((500, true));
        using var request = new HttpRequestMessage(HttpMethod.Head, server.Server.Address + "/spring/foo/dev");
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + server.Admin.Token);
        var head = await server.SendAsync(request);
        (head.Status, head.Body.Length, head.Header("Lockstep-Release")).ShouldBe((200, 0, "1"));
    }

    private static TestRepository Files()
    {
        var repository = new TestRepository();
        foreach (var (path, text) in new[]
        {
            ("foo.yml", "k: 1\nc: '{cipher}00'\n"), ("a.txt", "plain"), ("a-dev.txt", "dev"), ("noext-dev", "noext-dev"), ("dir/b.conf", "k=${k} ${x}"), ("foo/only.txt", "of foo"),
            ("foo/twice.txt", "foo"), ("twice.txt", "root"), ("w1/x/wild.txt", "one"), ("w2/x/wild.txt", "two"), ("bar/of.txt", "of bar"), ("WEB-INF/a.txt", "no"),
        })
            repository.Write(path, Encoding.UTF8.GetBytes(text));
        repository.Write("bytes.bin", [.. "${k} "u8, 0xE9, 0xFF, 0]);
        repository.Write("big.bin", new byte[5 * 1024 * 1024]);
        File.CreateSymbolicLink(System.IO.Path.Combine(repository.Path, "link.txt"), "a.txt");
        File.CreateSymbolicLink(System.IO.Path.Combine(repository.Path, "up"), "..");
        repository.CommitAll();
        return repository;
    }
}
