using System.Text.Json;
using Lockstep.Config;
using Lockstep.Config.Formats;
using Lockstep.Config.Parsing;
using Lockstep.Releases;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Config;

public sealed class PrecedenceTests
{
    [Fact]
    public void Files_come_in_the_order_of_spring()
    {
        string[] order =
        [
            "eu/app-b.yml", "eu/application-b.yml", "app-b.properties", "app-b.yml", "app-b.yaml", "app-b.json", "application-b.yml",
            "eu/app-a.yml", "eu/application-a.yml", "app-a.yml", "application-a.yml",
            "eu/app.yml", "eu/application.yml", "app.properties", "app.yml", "app.yaml", "app.json", "application.properties", "application.yml",
        ];
        var files = new ConfigFiles([.. order.Order(StringComparer.Ordinal).Select(p => (p, "{}")), ("other.yml", "{}"), ("eu/app-c.yml", "{}"), ("us/app.yml", "{}")]) { SearchPaths = ["eu"] };
        files.Plan("app", "a,b").Files.Select(f => f.Path).ShouldBe(order);
    }

    [Theory]
    [InlineData("config/{application}", "config/app/application.yml")]
    [InlineData("{application}/{profile}/", "app/dev/app.yml")]
    [InlineData("env/{profile}", "env/dev/application-dev.yml")]
    [InlineData("l/{label}", "l/feature/x/app.json")]
    [InlineData("teams/*", "teams/red/app.yml")]
    [InlineData("t?/**", "t1/a/b/c/app.yml")]
    [InlineData("**/conf", "conf/app.yml")]
    [InlineData("x*/{profile}", "xy/dev/app.yml")]
    public void Search_paths_lead_to_files(string searchPath, string path)
    {
        var files = new ConfigFiles((path, "k: v")) { SearchPaths = [searchPath] };
        files.Plan("app", "dev", "feature/x").Files.Select(f => f.Path).ShouldBe([path]);
    }

    [Fact]
    public void Later_search_paths_and_later_environments_of_a_placeholder_win()
    {
        var files = new ConfigFiles(("app.yml", "k: root"), ("a/application.yml", "k: a"), ("b/application.yml", "k: b")) { SearchPaths = ["{profile}"] };
        files.Values("app", "a,b")["k"].ShouldBe("b");
        files.Values("app", "b,a")["k"].ShouldBe("a");
    }

    [Theory]
    [InlineData("../up")]
    [InlineData("a/../b")]
    [InlineData("/abs")]
    [InlineData("a//b")]
    [InlineData("./a")]
    [InlineData("a\\b")]
    public void Search_paths_that_leave_the_repository_make_the_document_invalid(string searchPath)
    {
        var files = new ConfigFiles(("app.yml", "k: v")) { SearchPaths = [searchPath] };
        files.Resolve().Errors.ShouldHaveSingleItem().Message.ShouldContain(searchPath);
    }

    [Fact]
    public void A_name_can_not_bring_dots_or_wildcards_into_a_search_path()
    {
        var files = new ConfigFiles(("app.yml", "k: v"), ("x/app.yml", "k: x")) { SearchPaths = ["{label}"] };
        files.Plan("app", "dev", "..").Errors.ShouldHaveSingleItem();
        files.Plan("app", "dev", "*").Errors.ShouldHaveSingleItem();
        files.Plan("app", "dev", "x").Files.Length.ShouldBe(2);
    }

    [Fact]
    public void Wildcards_beyond_the_limit_make_the_document_invalid_and_cost_no_more()
    {
        var files = new ConfigFiles([.. Enumerable.Range(0, ConfigLimits.SearchLocations + 10).Select(i => ($"d{i}/application.yml", "k: v"))]) { SearchPaths = ["*"] };
        var plan = files.Plan("app", "dev");
        plan.Errors.ShouldHaveSingleItem().Message.ShouldContain("limit");
        plan.Files.Length.ShouldBeLessThan(ConfigLimits.SearchLocations);
        new ConfigFiles([.. Enumerable.Range(0, 1000).Select(i => ($"d{i}/app{i}.yml", "k: v"))]) { SearchPaths = ["*"] }.Plan("app7", "dev").Files.ShouldHaveSingleItem();
    }

    [Fact]
    public void Dependencies_name_files_that_do_not_exist_and_patterns()
    {
        var dependencies = new ConfigFiles(("c/x/app.yml", "k: v")) { SearchPaths = ["c/*", "d"] }.Plan("app", "dev").Dependencies;
        foreach (var path in new[] { "app.yml", "application-dev.properties", "d/app-dev.json", "c/x/application.yaml" }) dependencies.Paths.Contains(path, StringComparer.Ordinal).ShouldBeTrue(path);
        dependencies.DirectoryPatterns.ShouldBe(["c/*"]);
        Touches("c/new/app-dev.yml").ShouldBeTrue();
        Touches("a.yml", "c/other/other.yml", "c/other/app.yml").ShouldBeTrue();
        Touches("c/new/other.yml").ShouldBeFalse();
        Touches("c/new/deep/app.yml").ShouldBeFalse();
        Touches("cc/new/app.yml").ShouldBeFalse();
        Touches("app.yml").ShouldBeTrue();

        bool Touches(params string[] paths)
        {
            var (index, touched) = (new DependencyIndex(), new HashSet<DocumentKey>());
            index.Set(new Resolution(new DocumentKey("app", "dev"), "main", "") { Files = dependencies });
            index.AddPathDependents(null, paths, touched);
            return touched.Count == 1;
        }
    }

    [Fact]
    public void Too_many_environments_at_once_are_refused() =>
        new ConfigFiles(("app.yml", "k: v")).Resolve("app", string.Join(',', Enumerable.Range(0, 40).Select(i => "e" + i))).Errors.ShouldHaveSingleItem();

    [Fact]
    public void A_tree_copied_with_other_blobs_searches_those()
    {
        var tree = new ConfigFiles(("d1/app.yml", "k: v")).Tree;
        SearchPlan.Create(new("app", "dev"), "main", ["*"], tree).Files.Length.ShouldBe(1);
        var next = tree with { Blobs = tree.Blobs.Add("d2/app.yml", "b") };
        SearchPlan.Create(new("app", "dev"), "main", ["*"], next).Files.Select(f => f.Path).ShouldBe(["d2/app.yml", "d1/app.yml"]);
    }

    [Theory]
    [InlineData("app.yml", true)]
    [InlineData("app-dev.properties", true)]
    [InlineData("application.yml", false)]
    [InlineData("application-dev.yml", false)]
    [InlineData("app-prod.yml", false)]
    public void A_service_has_its_own_file_or_not(string path, bool own) => new ConfigFiles((path, "k: v")).Plan("app", "dev").HasOwnFile.ShouldBe(own);

    [Fact]
    public void Lists_are_replaced_whole_and_maps_key_by_key()
    {
        var files = new ConfigFiles(
            ("application.yml", "l: [a, b, c]\nm: {x: 1, y: 2}\nn: {'[k]': 1, '[j]': 2}\no: [{p: [1, 2]}, q]\ne: [1]\ns: text\n"),
            ("app.yml", "l: [z]\nm: {x: 9}\nn: {'[k]': 9}\no: [{p: [3]}]\ne: []\ns: [1]\n"));
        files.Values().Select(v => $"{v.Key}={v.Value}").ShouldBe(
            ["e=", "l[0]=z", "m.x=#9", "m.y=#2", "n[j]=#2", "n[k]=#9", "o[0].p[0]=#3", "s[0]=#1"]);
    }

    [Fact]
    public void Documents_of_a_file_apply_by_profile_and_later_ones_win()
    {
        var files = new ConfigFiles(("app.yml", """
            k: base
            ---
            spring.config.activate.onProfile: dev & !eu
            k: dev
            ---
            spring: {config: {activate: {on-profile: [eu, us]}}}
            k: region
            ---
            spring.config.activate.on_cloud_platform: kubernetes
            k: cloud
            ---
            spring.config.activate.on-cloud-platform: none
            none: here
            """));
        files.Values("app", "dev")["k"].ShouldBe("dev");
        files.Values("app", "dev,us")["k"].ShouldBe("region");
        files.Values("app", "prod")["k"].ShouldBe("base");
        files.Values("app", "prod")["none"].ShouldBe("here");
        files.Sources("app", "dev").Sources.Select(s => s.Name).ShouldBe(["app.yml (document #4)", "app.yml (document #1)", "app.yml (document #0)"]);
    }

    [Theory]
    [InlineData("a", "a", true)]
    [InlineData("!a", "a", false)]
    [InlineData("a & b", "a", false)]
    [InlineData("a & b", "a,b", true)]
    [InlineData("a | b", "b", true)]
    [InlineData("(a & b) | c", "c", true)]
    [InlineData("!(a | b)", "c", true)]
    [InlineData("!(a | b)", "b", false)]
    [InlineData("! ! a", "a", true)]
    [InlineData("a&(b|!c)", "a,c", false)]
    [InlineData("A", "a", false)]
    public void Profile_expressions_match(string expression, string profiles, bool matches) =>
        ProfileExpression.Parse(expression, 1).Matches([.. profiles.Split(',')]).ShouldBe(matches);

    [Theory]
    [InlineData("")]
    [InlineData("a & b | c")]
    [InlineData("(a")]
    [InlineData("a)")]
    [InlineData("&")]
    [InlineData("a &")]
    [InlineData("!")]
    [InlineData("()")]
    [InlineData("a (b)")]
    public void Malformed_profile_expressions_are_refused(string expression) => Should.Throw<ConfigSyntaxException>(() => ProfileExpression.Parse(expression, 1));

    [Fact]
    [Trait("speed", "medium")]
    public void The_upstream_case_on_document_order_holds()
    {
        if (SharedFiles.Find("conformance/spring/cases.json") is not { } cases || SharedFiles.Find("conformance/spring/repos/t-multidoc.bundle") is not { } bundle) return;
        var sources = ConfigFiles.FromBundle(bundle).Sources("foo", "test1").Sources;
        using var json = JsonDocument.Parse(File.ReadAllBytes(cases));
        var expected = json.RootElement.GetProperty("cases").EnumerateArray().Single(c => c.GetProperty("id").GetString() == "multidoc-order")
            .GetProperty("expect").GetProperty("sources").EnumerateArray().Select(s => s.EnumerateObject().Select(p => $"{p.Name}={p.Value}").Order(StringComparer.Ordinal).ToArray()).ToArray();
        sources.Select(s => s.Entries.Select(e => $"{e.Key}={e.Value.Text}").Order(StringComparer.Ordinal).ToArray()).ToArray().ShouldBe(expected);
    }

    [Theory]
    [Trait("speed", "medium")]
    [InlineData("docker")]
    [InlineData("mysql")]
    [InlineData("chaos-monkey")]
    [InlineData("docker,mysql")]
    public void The_petclinic_repository_resolves(string environment)
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        var files = ConfigFiles.FromBundle(bundle);
        foreach (var service in files.Paths.Select(Path.GetFileNameWithoutExtension).ToArray())
        {
            var resolved = files.Resolve(service!, environment);
            resolved.Errors.ShouldBeEmpty();
            resolved.Values.Length.ShouldBeGreaterThan(10);
            // A resolved document written as a file resolves to itself: no key and no type is lost, nothing is expanded twice.
            var yaml = DocumentFormat.Write("yaml", resolved.Values.Select(v => (v.Key, ((ConfigValue.Scalar)v.Value).Value)));
            new ConfigFiles(("app.yml", yaml)).Resolve("app", environment).Values.Select(v => (v.Key, v.Value)).ShouldBe(resolved.Values.Select(v => (v.Key, v.Value)));
        }
        files.Values("customers-service", "docker")["management.tracing.export.zipkin.endpoint"].ShouldStartWith("http://tracing-server");
        files.Plan("customers-service", "docker").HasOwnFile.ShouldBeTrue();
    }
}
