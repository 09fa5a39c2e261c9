using System.Text;
using System.Text.Json;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Spring;

[Trait("speed", "medium")]
public sealed class SpringEnvironmentTests
{
    private static readonly (string Path, int Status)[] s_odd =
    [
        ("/spring/shop/de v", 400),
        ("/spring/shop/dev,", 400),
        ("/spring/shop/-dev", 400),
        ("/spring/shop/dev_", 400),
        ("/spring/shop/d*v", 400),
        ("/spring/sh..op/dev", 400),
        ("/spring/sh%23op/dev", 400),
        ("/spring/sh%2523op/dev", 400),
        ("/spring/(_)shop/dev", 400),
        ("/spring/%2528_)shop/dev", 400),
        ("/spring/sh%5Cop/dev", 400),
        ("/spring/shop/dev/(_)main", 400),
        ("/spring/shop/dev/ma%23in", 400),
        ("/spring/shop/dev/main/a..b", 400),
        ("/spring/shop/dev/main/%252e%252e%252fa", 400),
        ("/spring/shop/a.+b@c-d", 200),
        ("/spring/shop/dev.json", 404),
        ("/spring/shop/dev.yaml,x", 404),
        ("/spring/shop/x.ymly", 200),
        ("/spring/shop", 404),
        ("/spring/shop/", 404),
        ("/spring/shop//main", 404),
        ("/spring/none/dev", 200),
        ("/spring/shop-.yml", 404),
        ("/spring/shop-dev.yml?resolvePlaceholders=maybe", 400),
    ];

    [Fact]
    public async Task An_environment_has_all_six_keys_and_names_its_sources_after_their_files()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\nb: true\nc: text\nd: [1, x]\n"), ("application.properties", "p=1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var answer = (await server.Admin.GetAsync("/spring/shop/dev,eu")).Ok();
        answer.Header("Content-Type").ShouldBe("application/json");
        answer.Json.EnumerateObject().Select(p => p.Name).ShouldBe(["name", "profiles", "label", "version", "state", "propertySources"]);
        answer.Json.GetProperty("profiles").GetRawText().ShouldBe("""["dev,eu"]""");
        answer.Json.GetProperty("label").ValueKind.ShouldBe(JsonValueKind.Null);
        answer.Json.GetProperty("version").GetString().ShouldBe(repository.Head);
        answer.Json.GetProperty("state").ValueKind.ShouldBe(JsonValueKind.Null);
        Sources(answer).ShouldBe(["shop.yml", "application.properties"]);
        Source(answer, 0).ShouldBe("""{"a":1,"b":true,"c":"text","d[0]":1,"d[1]":"x"}""");
        Source(answer, 1).ShouldBe("""{"p":"1"}""");
        (await server.Admin.GetAsync("/spring/shop/dev/main")).Json.GetProperty("label").GetString().ShouldBe("main");
        var origins = (await server.Admin.GetAsync("/spring/shop/dev", ("Accept", "application/vnd.spring-cloud.config-server.v2+json"))).Ok();
        origins.Header("Content-Type").ShouldBe("application/vnd.spring-cloud.config-server.v2+json");
        string At(string value, string place) => $"{{\"value\":{value},\"origin\":\"[{repository.Path}/{place}\"}}";
        Source(origins, 0).ShouldBe(
            $"{{\"a\":{At("1", "shop.yml]:1:4")},\"b\":{At("true", "shop.yml]:2:4")},\"c\":{At("\"text\"", "shop.yml]:3:4")},\"d[0]\":{At("1", "shop.yml]:4:5")},\"d[1]\":{At("\"x\"", "shop.yml]:4:8")}}}");
        Source(origins, 1).ShouldBe($"{{\"p\":{At("\"1\"", "application.properties]:1:3")}}}");
    }

    [Theory]
    [InlineData("shop/dev", "", "shop-dev.yml application-dev.yml shop.yml application.yml", "shop-dev.yml application-dev.yml shop.yml application.yml")]
    [InlineData("shop/a,b", "", "shop-a.yml shop-b.yml application-b.yml shop.yml", "shop-b.yml application-b.yml shop-a.yml shop.yml")]
    [InlineData("shop/default", "", "shop.yml shop-default.yml", "shop-default.yml shop.yml")]
    [InlineData("one,two/dev", "", "one.yml two.yml two-dev.yml application.yml", "two-dev.yml two.yml one.yml application.yml")]
    [InlineData("application/dev", "", "application.yml application-dev.yml shop.yml", "application-dev.yml application.yml")]
    [InlineData("Shop/Dev", "", "Shop-Dev.yml shop.yml", "Shop-Dev.yml")]
    [InlineData("shop/dev", "", "shop.yml shop.yaml shop.properties", "shop.properties shop.yml shop.yaml")]
    [InlineData("shop/dev", "x", "x/application.yml shop.yml application.yml", "x/application.yml shop.yml application.yml")]
    [InlineData("shop/dev", "x", "shop-dev.yml x/shop.yml", "shop-dev.yml x/shop.yml")]
    [InlineData("shop/dev", "x y", "y/shop.yml x/shop.yml shop.yml", "y/shop.yml x/shop.yml shop.yml")]
    [InlineData("shop/a,b", "{application}/{profile}", "shop/a/shop.yml shop/b/shop.yml", "shop/b/shop.yml shop/a/shop.yml")]
    [InlineData("one,two/dev", "{application}", "one/application.yml two/application.yml", "two/application.yml one/application.yml")]
    [InlineData("shop/dev/main", "{label}", "main/shop.yml other/shop.yml", "main/shop.yml")]
    [InlineData("shop/dev", "s*", "s1/shop.yml s2/shop.yml t/shop.yml", "s2/shop.yml s1/shop.yml")]
    public async Task Sources_stand_in_Springs_order(string path, string searchPaths, string files, string expected)
    {
        using var repository = TestRepository.With([.. files.Split(' ').Select(f => (f, f.EndsWith(".properties", StringComparison.Ordinal) ? "a=1\n" : "a: 1\n"))]);
        await using var server = await TestServer.StartAsync(repository, o => o with
        {
            Config = o.Config with { SearchPaths = searchPaths.Split(' ', StringSplitOptions.RemoveEmptyEntries) },
        });
        Sources((await server.Admin.GetAsync("/spring/" + path)).Ok()).ShouldBe(expected.Split(' '));
    }

    [Fact]
    public async Task Labels_are_branches_tags_and_commits_and_of_several_the_last_wins()
    {
        using var repository = TestRepository.With(("shop.yml", "a: main\n"));
        var first = repository.Head;
        repository.Tag("v1", annotated: true);
        repository.Branch("feature/x");
        var feature = repository.Commit(("shop.yml", "a: feature\n"));
        repository.Checkout("main");
        await using var server = await TestServer.StartAsync(repository);
        foreach (var (label, expected) in new[] { ("v1", "main"), (first, "main"), (feature[..12], "feature"), ("feature(_)x", "feature"), ("feature%2Fx", "feature"), ("main", "main") })
            Source((await server.Admin.GetAsync("/spring/shop/dev/" + label)).Ok(), 0).ShouldBe($$"""{"a":"{{expected}}"}""", label);
        (await server.Admin.GetAsync("/spring/shop/dev/feature(_)x")).Json.GetProperty("label").GetString().ShouldBe("feature/x");
        var both = (await server.Admin.GetAsync("/spring/shop/dev/main,feature(_)x")).Ok();
        both.Json.GetProperty("propertySources").EnumerateArray().Select(s => s.GetProperty("source").GetProperty("a").GetString()).ShouldBe(["feature", "main"]);
        both.Json.GetProperty("version").GetString().ShouldBe($"{feature},{first}");
        (await server.Admin.GetAsync("/spring/feature(_)x/shop-dev.properties")).Ok().Text.ShouldBe("a: feature");
        foreach (var missing in new[] { "nope", "main,nope", "0000000000000000000000000000000000000000" })
            (await server.Admin.GetAsync("/spring/shop/dev/" + missing)).Status.ShouldBe(404, missing);
        server.Options = server.Options with { Spring = new SpringOptions { ContinueOnMissingLabel = true, DefaultLabel = "feature/x" } };
        await server.RestartAsync();
        Source((await server.Admin.GetAsync("/spring/shop/dev/main,nope")).Ok(), 0).ShouldBe("""{"a":"main"}""");
        (await server.Admin.GetAsync("/spring/shop/dev/nope,none")).Status.ShouldBe(404);
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0).ShouldBe("""{"a":"feature"}""");
    }

    [Fact]
    public async Task Master_stands_in_for_a_main_that_does_not_exist()
    {
        using var repository = new TestRepository("master");
        repository.Commit(("shop.yml", "a: 1\n"), ("x.txt", "x"), ("in-main/shop.yml", "b: 2\n"));
        await using var server = await TestServer.StartAsync(repository);
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0).ShouldBe("""{"a":1}""");
        foreach (var path in new[] { "shop/dev/main", "shop/dev/main,main" })
        {
            var named = (await server.Admin.GetAsync("/spring/" + path)).Ok();
            Source(named, 0).ShouldBe("""{"a":1}""");
            named.Json.GetProperty("label").GetString().ShouldBe(path[9..]);
            named.Json.GetProperty("version").GetString().ShouldBe(repository.Head);
        }
        (await server.Admin.GetAsync("/spring/shop/dev/main/x.txt")).Ok().Text.ShouldBe("x");
        (await server.Admin.GetAsync("/spring/main/shop-dev.properties")).Ok().Text.ShouldBe("a: 1");
        await using var labelled = await TestServer.StartAsync(repository, o => o with { Config = o.Config with { SearchPaths = ["in-{label}"] } });
        (await labelled.Admin.GetAsync("/spring/main/shop-dev.properties")).Ok().Text.ShouldBe("a: 1\nb: 2");
    }

    [Fact]
    public async Task A_value_that_a_higher_source_hides_may_refer_to_nothing()
    {
        using var repository = TestRepository.With(
            ("shop.yml", "a: 1\nl: [x]\nb: ${secret:shop/db}\n"), ("application.yml", "a: ${secret:no/such} ${secret:shop/db}\nb: ${secret:}\nl: [y, '${secret:no/such}']\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", "value")).Ok();
        var answer = (await server.Admin.GetAsync("/spring/shop/dev")).Ok();
        Source(answer, 0).ShouldBe("""{"a":1,"l[0]":"x","b":"value"}""");
        Source(answer, 1).ShouldBe("""{"a":"<n/a>","b":"<n/a>","l[0]":"y","l[1]":"<n/a>"}""");
        (await server.Admin.GetAsync("/spring/other/dev")).Status.ShouldBe(500);
    }

    [Fact]
    public async Task Secrets_of_each_label_are_those_of_its_own_release()
    {
        using var repository = TestRepository.With(("shop.yml", "a: ${secret:shop/db}\n"));
        repository.Branch("other");
        repository.Commit(("shop.yml", "a: ${secret:shop/db}\nb: x ${secret:shop/db} ${c}\nc: ${secret:shop/db}\n"));
        repository.Checkout("main");
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", "one")).Ok();
        var release = (await server.Admin.ConfigAsync("shop/dev")).Ok().Release;
        (await server.Admin.PutAsync("/v1/secrets/shop/db", new { value = "two" })).Ok();
        (await server.Admin.PostAsync("/v1/config/shop/dev/rollback", new { to = release })).Ok();
        foreach (var (labels, first, second) in new[] { ("main,other", """{"a":"two","b":"x two ${c}","c":"two"}""", """{"a":"one"}"""), ("other,main", """{"a":"one"}""", """{"a":"two","b":"x two ${c}","c":"two"}""") })
        {
            var answer = (await server.Admin.GetAsync("/spring/shop/dev/" + labels)).Ok();
            Source(answer, 0).ShouldBe(first);
            Source(answer, 1).ShouldBe(second);
        }
        (await server.Admin.GetAsync("/spring/other,main/shop-dev.properties")).Ok().Text.ShouldBe("a: one\nb: x two two\nc: two");
    }

    [Fact]
    public async Task A_denial_names_the_file_that_was_asked_for_and_is_not_left_out_of_a_304()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"), ("hidden/x.txt", "x ${secret:shop/db}"));
        var time = new ManualTime();
        await using var server = await TestServer.StartAsync(repository, o => o with
        {
            Config = o.Config with { SearchPaths = ["hidden"] }, Roles = [new RoleOptions { Name = "files", Permissions = ["config:read"], Services = ["shop"], Paths = ["**"] }],
        }, time);
        (await server.PutAsync("shop/db", "value")).Ok();
        var denied = await (await server.AsAsync("reader", t => t with { Services = ["shop"] })).GetAsync("/spring/shop/dev/main/x.txt");
        denied.Status.ShouldBe(403);
        denied.Text.ShouldNotContain("hidden");
        time.Advance(TimeSpan.FromSeconds(5));
        var modified = (await server.Admin.GetAsync("/spring/shop/dev/main/x.txt")).Ok().Header("Last-Modified")!;
        (await server.Admin.GetAsync("/spring/shop/dev/main/x.txt", ("If-Modified-Since", modified))).Status.ShouldBe(304);
        (await (await server.AsAsync("files")).GetAsync("/spring/shop/dev/main/x.txt", ("If-Modified-Since", modified))).Status.ShouldBe(403);
        // A clock may have been set back since: only the time of this very release is believed.
        var later = DateTimeOffset.Parse(modified, System.Globalization.CultureInfo.InvariantCulture).AddSeconds(1).ToString("R", System.Globalization.CultureInfo.InvariantCulture);
        (await server.Admin.GetAsync("/spring/shop/dev/main/x.txt", ("If-Modified-Since", later))).Status.ShouldBe(200);
    }

    [Fact]
    public async Task What_could_lead_elsewhere_is_refused_in_Springs_form()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        foreach (var (path, status) in s_odd)
        {
            var answer = await server.Admin.GetAsync(path);
            answer.Status.ShouldBe(status, $"{path}: {answer.Text}");
            if (status == 200) continue;
            answer.Header("Content-Type").ShouldBe("application/json");
            answer.Json.EnumerateObject().Select(p => p.Name).ShouldBe(["timestamp", "status", "error", "message", "path"]);
            answer.Json.GetProperty("status").GetInt32().ShouldBe(status);
            answer.Json.GetProperty("error").GetString().ShouldBe(status == 400 ? "Bad Request" : "Not Found");
        }
    }

    [Fact]
    public async Task The_token_is_a_bearers_or_the_password_of_Basic_and_the_rest_is_401()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var nobody = await server.Nobody.GetAsync("/spring/shop/dev");
        nobody.Status.ShouldBe(401);
        nobody.Header("WWW-Authenticate").ShouldBe("Basic realm=\"lockstep\"");
        nobody.Json.GetProperty("error").GetString().ShouldBe("Unauthorized");
        (await server.Nobody.GetAsync("/spring/shop/dev", Basic("any:" + server.Admin.Token))).Status.ShouldBe(200);
        (await server.Nobody.GetAsync("/spring/shop/dev", Basic("any:wrong"))).Status.ShouldBe(401);
        (await server.Nobody.SendAsync("POST", "/spring/monitor", new { path = "a.yml" })).Status.ShouldBe(401);
        server.Options = server.Options with { Compat = new CompatOptions { Spring = false } };
        await server.RestartAsync();
        (await server.Admin.GetAsync("/spring/shop/dev")).ShouldBe(404, "not-found");
    }

    [Fact]
    public async Task Overrides_win_everywhere_and_a_change_of_them_is_a_release()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\nb: ${a}\n"));
        await using var server = await TestServer.StartAsync(repository, o => o with { Spring = new SpringOptions { Overrides = [new("a", "2"), new("c", "${b}")], AcceptEmpty = false } });
        var answer = (await server.Admin.GetAsync("/spring/shop/dev/main,main")).Ok();
        answer.Json.GetProperty("propertySources")[0].GetProperty("name").GetString().ShouldBe("overrides");
        Source(answer, 0).ShouldBe("""{"a":"2","c":"${b}"}""");
        answer.Json.GetProperty("propertySources").GetArrayLength().ShouldBe(2);
        (await server.Admin.GetAsync("/spring/shop-dev.properties")).Text.ShouldBe("a: 2\nb: 2\nc: 2");
        (await server.Admin.GetAsync("/spring/none/dev")).Status.ShouldBe(200);
        var document = (await server.Admin.ConfigAsync("shop/dev")).Ok();
        (document.Value("a"), document.Value("b"), document.Value("c")).ShouldBe(("2", "2", "2"));
        server.Options = server.Options with { Spring = new SpringOptions { AcceptEmpty = false } };
        await server.RestartAsync();
        var after = (await server.Admin.ConfigAsync("shop/dev")).Ok();
        (after.Value("a"), after.Value("c"), after.Release).ShouldBe(("1", null, document.Release + 1));
        (await server.Admin.ConfigAsync("shop/dev", $"?release={document.Release}")).Ok().Value("a").ShouldBe("2");
        (await server.Admin.GetAsync("/spring/none/dev")).Status.ShouldBe(404);
        (await server.Admin.GetAsync("/spring/none-dev.yml")).Status.ShouldBe(404);
    }

    [Fact]
    public async Task Secrets_are_filled_in_for_who_may_reveal_them_all_and_on_the_record_first()
    {
        using var repository = TestRepository.With(
            ("shop.yml", "password: ${secret:shop/db#password}\nport: ${secret:shop/db#port}\nurl: pg://${password}@${host:db}\nx: ${Y:${ secret:shop/key }}\nesc: \\${secret:no}\n"),
            ("other.yml", "a: ${secret:no/such}\n"), ("bad.yml", "a: ${secret:}\n"), ("round.yml", "a: ${b}\nb: ${a}\n"), ("plain.yml", "a: 1\nb: ${a}\n"), ("t.txt", "p=${password} ${port} ${unknown} ${secret:shop/key}\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.PutAsync("shop/db", """{"password":"p-value","port":5432}""")).Ok();
        (await server.PutAsync("shop/key", "k-value")).Ok();
        var before = await DisclosuresAsync(server);
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0)
            .ShouldBe("""{"password":"p-value","port":5432,"url":"pg://${password}@${host:db}","x":"${Y:k-value}","esc":"\\${secret:no}"}""");
        (await DisclosuresAsync(server)).ShouldBe(before + 1);
        (await server.Admin.GetAsync("/spring/shop-dev.properties")).Ok().Text.ShouldBe("esc: ${secret:no}\npassword: p-value\nport: 5432\nurl: pg://p-value@db\nx: k-value");
        (await server.Admin.GetAsync("/spring/shop/dev/main/t.txt")).Ok().Text.ShouldBe("p=p-value 5432 ${unknown} k-value\n");
        (await DisclosuresAsync(server)).ShouldBe(before + 3);
        (await server.Admin.GetAsync("/spring/shop/dev/main/t.txt?resolvePlaceholders=false")).Ok().Text.ShouldBe("p=${password} ${port} ${unknown} ${secret:shop/key}\n");
        (await server.Admin.GetAsync("/spring/plain/dev")).Ok();
        (await DisclosuresAsync(server)).ShouldBe(before + 3);
        var viewer = await server.AsAsync("viewer");
        var half = await server.AsAsync("reader", t => t with { Secrets = ["shop/db"] });
        foreach (var path in new[] { "shop/dev", "shop-dev.json", "shop-dev.yml?resolvePlaceholders=false", "shop/dev/main/t.txt" })
        {
            foreach (var caller in new[] { viewer, half })
            {
                var denied = await caller.GetAsync("/spring/" + path);
                denied.Status.ShouldBe(403, path);
                denied.Text.ShouldNotContain("-value");
            }
        }
        (await viewer.GetAsync("/spring/plain/dev")).Ok();
        (await viewer.GetAsync("/spring/shop/dev/main/t.txt?resolvePlaceholders=false")).Ok();
        (await DisclosuresAsync(server)).ShouldBe(before + 3);
        foreach (var (path, status) in new[] { ("other/dev", 500), ("bad/dev", 500), ("bad-dev.yml", 500), ("round/dev", 200), ("round-dev.yml", 400), ("round-dev.yml?resolvePlaceholders=false", 200) })
            (await server.Admin.GetAsync("/spring/" + path)).Status.ShouldBe(status, path);
        (await server.Admin.GetAsync("/v1/audit/verify")).Json.GetProperty("valid").GetBoolean().ShouldBeTrue();
    }

    [Fact]
    public async Task Only_services_and_environments_of_the_caller_are_answered()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"), ("other.yml", "a: 1\n"), ("x.txt", "x"));
        await using var server = await TestServer.StartAsync(repository, o => o with
        {
            Roles = [new RoleOptions { Name = "files", Permissions = ["config:read"], Services = ["shop"], Paths = ["x*"] }],
        });
        var caller = await server.AsAsync("reader", t => t with { Services = ["shop"], Environments = ["dev", "test"] });
        foreach (var (path, status) in new[]
        {
            ("shop/dev", 200), ("shop/dev,test", 200), ("shop/dev,prod", 403), ("other/dev", 403), ("shop,other/dev", 403), ("application/dev", 403), ("none/dev", 403),
            ("shop-dev.yml", 200), ("other-dev.yml", 403), ("shop/dev/main/x.txt", 403), ("shop/dev/main/none.txt", 403), ("x(_)shop/dev", 403), ("shop/dev/nope", 404),
        })
            (await caller.GetAsync("/spring/" + path)).Status.ShouldBe(status, path);
        var files = await server.AsAsync("files");
        foreach (var (path, status) in new[] { ("shop/dev/main/x.txt", 200), ("shop/dev/main/xx.txt", 404), ("shop/dev/main/shop.yml", 403), ("other/dev/main/x.txt", 403) })
            (await files.GetAsync("/spring/" + path)).Status.ShouldBe(status, path);
    }

    [Fact]
    public async Task A_broken_file_leaves_the_last_valid_sources_served_and_a_pin_holds_them()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        (await server.Admin.GetAsync("/spring/shop/dev")).Ok();
        repository.Commit(("shop.yml", "a: [\n"));
        await server.RefreshAsync();
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0).ShouldBe("""{"a":1}""");
        var document = (await server.Admin.ConfigAsync("shop/dev")).Ok();
        document.Header("Lockstep-Stale").ShouldNotBeNull();
        foreach (var path in new[] { "shop/dev", "shop-dev.yml", "shop/dev/main/shop.yml?resolvePlaceholders=false" })
        {
            var stale = (await server.Admin.GetAsync("/spring/" + path)).Ok();
            (stale.Header("Lockstep-Release"), stale.Header("Lockstep-Stale")).ShouldBe((document.Header("Lockstep-Release"), document.Header("Lockstep-Stale")), path);
        }
        var never = await server.Admin.GetAsync("/spring/shop/test");
        never.Status.ShouldBe(500);
        never.Json.GetProperty("message").GetString()!.ShouldContain("shop.yml:");
        repository.Commit(("shop.yml", "a: 3\n"));
        await server.RefreshAsync();
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0).ShouldBe("""{"a":3}""");
        (await server.Admin.PostAsync("/v1/config/shop/dev/rollback", new { to = 1 })).Ok();
        Source((await server.Admin.GetAsync("/spring/shop/dev")).Ok(), 0).ShouldBe("""{"a":1}""");
        (await server.Admin.GetAsync("/spring/shop-dev.properties")).Ok().Text.ShouldBe("a: 1");
        Source((await server.Admin.GetAsync("/spring/shop/test")).Ok(), 0).ShouldBe("""{"a":3}""");
    }

    private static (string, string) Basic(string credentials) => ("Authorization", "Basic " + Convert.ToBase64String(Encoding.UTF8.GetBytes(credentials)));

    private static string[] Sources(Answer answer)
    {
        var names = answer.Json.GetProperty("propertySources").EnumerateArray().Select(s => s.GetProperty("name").GetString()!).ToArray();
        return [.. names.Select(n => n[(n.IndexOf("/repository/", StringComparison.Ordinal) + "/repository/".Length)..])];
    }

    private static string Source(Answer answer, int index) => answer.Json.GetProperty("propertySources")[index].GetProperty("source").GetRawText();

    private static async Task<int> DisclosuresAsync(TestServer server) =>
        int.Parse((await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE entry LIKE '%/spring%' AND entry LIKE '%@1%'"))[0], System.Globalization.CultureInfo.InvariantCulture);
}
