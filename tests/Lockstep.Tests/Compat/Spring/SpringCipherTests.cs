using System.Text;
using Lockstep.Config;
using Lockstep.Settings;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Compat.Spring;

[Trait("speed", "medium")]
public sealed class SpringCipherTests
{
    // Of Spring's documentation, with the key "foo".
    private const string MySecret = "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda";

    [Theory]
    [InlineData(MySecret, "mysecret")]
    [InlineData("{cipher}" + MySecret, "mysecret")]
    [InlineData("{cipher}{key:a}{name:b}" + MySecret, "mysecret")]
    [InlineData("{cipher}{key:a}{plain}" + MySecret, "mysecret")]
    [InlineData("{cipher}{plain}{key:a}" + MySecret, null)]
    [InlineData("{cipher}00", null)]
    [InlineData("{cipher}", null)]
    [InlineData("{cipher}" + MySecret + "00", null)]
    [InlineData("{cipher}zz2bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda", null)]
    [InlineData("{cipher}AQA6EdmqOKvCUVQ", null)]
    public void A_value_is_decrypted_with_its_key_alone(string value, string? text)
    {
        var key = new CipherKey("foo", [1]);
        key.Decrypt(value).ShouldBe(text);
        new CipherKey("bar", [1]).Decrypt(value).ShouldBeNull();
        foreach (var plain in new[] { "", "é😀", new string('x', 10_000) })
        {
            var encrypted = key.Encrypt(plain);
            key.Decrypt(encrypted).ShouldBe(plain);
            key.Encrypt(plain).Equals(encrypted, StringComparison.Ordinal).ShouldBeFalse();
        }
        new CipherKey("foo", [2]).Identity.Equals(key.Identity, StringComparison.Ordinal).ShouldBeFalse();
        CipherKey.WithoutPrefixes("""{"a":"b"}""").ShouldBe("""{"a":"b"}""");
    }

    [Fact]
    public async Task Encrypted_values_are_plain_in_documents_and_the_key_is_in_no_database()
    {
        using var repository = TestRepository.With(("shop.yml", $"p: '{{cipher}}{MySecret}'\nu: pg://${{p}}@db\n"));
        repository.Commit(("bad.yml", "a: 1\nb: '{cipher}00'\n"), ("gone.yml", $"p: '{{cipher}}{MySecret}'\n"));
        await using var server = await StartAsync(repository, "foo\n");
        (await server.Admin.ConfigAsync("shop/dev")).Ok().Value("u").ShouldBe("pg://mysecret@db");
        (await server.Admin.GetAsync("/spring/shop-dev.properties")).Ok().Text.ShouldBe("p: mysecret\nu: pg://mysecret@db");
        var bad = await server.Admin.ConfigAsync("bad/dev");
        bad.ShouldBe(422, "invalid-config");
        var error = bad.Json.GetProperty("errors")[0];
        (error.GetProperty("file").GetString(), error.GetProperty("line").GetInt32(), error.GetProperty("key").GetString()).ShouldBe(("bad.yml", 2, "b"));
        (await server.Admin.GetAsync("/spring/bad-dev.json")).Ok().Text.ShouldBe("""{"a":1,"invalid":{"b":"<n/a>"}}""");
        var first = (await server.Admin.ConfigAsync("shop/dev")).Release;

        File.WriteAllText(server.Data.File("key"), "other-password");
        await server.RestartAsync();
        server.Release.ShouldBe(first + 1);
        (await server.Admin.ConfigAsync("gone/dev")).ShouldBe(422, "invalid-config");
        (await server.Admin.GetAsync("/spring/gone/dev")).Ok().Text.ShouldContain("\"invalid.p\":\"<n/a>\"");
        foreach (var file in Directory.EnumerateFiles(server.Data.File("data"), "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f).Contains("db", StringComparison.Ordinal)))
            Encoding.Latin1.GetString(await ReadAsync(file)).ShouldNotContain("other-password");
        server.Options = server.Options with { Spring = new SpringOptions() };
        await server.RestartAsync();
        (await server.Admin.ConfigAsync("gone/dev")).Detail.ShouldContain("spring.encryptKeyFile is not set");
    }

    [Fact]
    public async Task A_reference_to_a_secret_cannot_hide_in_an_encrypted_value()
    {
        using var repository = new TestRepository();
        repository.CommitAll();
        await using var server = await StartAsync(repository, "foo");
        (await server.PutAsync("other/db", "x-value")).Ok();
        foreach (var text in new[] { "${secret:other/db}", "a ${b:${ secret:other/db }}", "${secret:" })
        {
            var encrypted = (await server.Admin.SendAsync("POST", "/spring/encrypt", text)).Ok().Text;
            repository.Commit(("shop.yml", $"p: '{{cipher}}{encrypted}'\nq: ${{p}}\n"));
            await server.RefreshAsync();
            (await server.Admin.ConfigAsync("shop/dev")).ShouldBe(422, "invalid-config").Detail.ShouldContain("can't hold a reference to a secret");
            (await server.Admin.GetAsync("/spring/shop-dev.json")).Ok().Text.ShouldBe("""{"invalid":{"p":"<n/a>"},"q":"${p}"}""");
        }
        // What only looks like one is text.
        var escaped = (await server.Admin.SendAsync("POST", "/spring/encrypt", "\\${secret:other/db}")).Ok().Text;
        repository.Commit(("shop.yml", $"p: '{{cipher}}{escaped}'\n"));
        await server.RefreshAsync();
        (await server.Admin.ConfigAsync("shop/dev")).Ok().Value("p").ShouldBe("${secret:other/db}");
    }

    [Fact]
    public async Task Encrypt_and_decrypt_are_for_who_may_write_and_on_the_record()
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await StartAsync(repository, "foo");
        foreach (var path in new[] { "", "/shop/dev" })
        {
            var encrypted = (await server.Admin.SendAsync("POST", "/spring/encrypt" + path, "top = x")).Ok().Text;
            (await server.Admin.SendAsync("POST", "/spring/decrypt" + path, encrypted)).Ok().Text.ShouldBe("top = x");
            (await server.Admin.SendAsync("POST", "/spring/decrypt" + path, "{cipher}" + encrypted)).Ok().Text.ShouldBe("top = x");
            // As a form, with the end that an encoder adds.
            (await server.Admin.SendAsync("POST", "/spring/decrypt" + path, encrypted + "=")).Ok().Text.ShouldBe("top = x");
        }
        var form = (await server.Admin.SendAsync("POST", "/spring/encrypt", "a%20b=")).Ok().Text;
        (await server.Admin.SendAsync("POST", "/spring/decrypt", form)).Ok().Text.ShouldBe("a b");
        var named = (await server.Admin.SendAsync("POST", "/spring/encrypt", "{key:a}{plain}{b}")).Ok().Text;
        named.ShouldStartWith("{key:a}");
        (await server.Admin.SendAsync("POST", "/spring/decrypt", named)).Ok().Text.ShouldBe("{b}");
        var bad = await server.Admin.SendAsync("POST", "/spring/decrypt", "00");
        (bad.Status, bad.Text).ShouldBe((400, """{"status":"INVALID","description":"Text not encrypted with this key"}"""));
        (await server.Admin.GetAsync("/spring/encrypt/status")).Ok().Text.ShouldBe("""{"status":"OK"}""");
        (await server.Admin.GetAsync("/spring/key")).Status.ShouldBe(404);
        (await server.Admin.GetAsync("/spring/key/shop/dev")).Json.GetProperty("status").GetString().ShouldBe("NO_KEY");
        var writer = await server.AsAsync("writer", t => t with { Services = ["shop"] });
        foreach (var (caller, path, status) in new[]
        {
            (writer, "decrypt", 403), (writer, "encrypt", 403), (writer, "decrypt/shop/dev", 200), (writer, "decrypt/other/dev", 403), (writer, "decrypt/shop,other/dev", 403),
            (await server.AsAsync("reader"), "decrypt/shop/dev", 403), (await server.AsAsync("writer"), "decrypt", 200),
        })
            (await caller.SendAsync("POST", "/spring/" + path, MySecret)).Status.ShouldBe(status, path);
        (await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE entry LIKE '%config.decrypt%' AND entry NOT LIKE '%denied%'"))[0].ShouldNotBe("0");
        (await server.QueryAsync("SELECT COUNT(*) FROM audit WHERE entry LIKE '%mysecret%'"))[0].ShouldBe("0");

        server.Options = server.Options with { Spring = new SpringOptions() };
        await server.RestartAsync();
        foreach (var path in new[] { "encrypt", "decrypt" })
        {
            var none = await server.Admin.SendAsync("POST", "/spring/" + path, "x");
            (none.Status, none.Text).ShouldBe((404, """{"status":"NO_KEY","description":"No key was installed for encryption service"}"""));
        }
        (await server.Admin.GetAsync("/spring/encrypt/status")).Status.ShouldBe(404);
    }

    [Fact]
    public async Task A_plan_decrypts_for_those_alone_who_may_decrypt_and_for_others_what_the_document_has_already()
    {
        using var repository = TestRepository.With(("shop.yml", $"p: '{{cipher}}{MySecret}'\n"), ("cart.yml", "a: 1\n"));
        await using var server = await StartAsync(repository, "foo\n");
        foreach (var document in new[] { "shop/dev", "cart/dev" }) (await server.Admin.ConfigAsync(document)).Ok();
        var forged = string.Concat(MySecret.AsSpan(0, MySecret.Length - 1), "b");
        new CipherKey("foo", [1]).Decrypt(forged).ShouldBeNull();
        var viewer = await server.AsAsync("viewer");

        // What a padding oracle would ask: the same answer for text that was encrypted with the key and for text that was not.
        var answers = new List<string>();
        foreach (var text in new[] { MySecret, forged, "00" }) answers.Add(await PlanAsync(viewer, "cart.yml", $"b: '{{cipher}}{text}'\n"));
        answers.Distinct().ShouldHaveSingleItem().ShouldContain("\"changes\"");
        // Its own still reads as it does, beside a new key that uses it.
        (await PlanAsync(viewer, "shop.yml", $"p: '{{cipher}}{MySecret}'\nq: x-${{p}}\n")).ShouldContain("\"keys\":[\"q\"]");

        var writer = await server.AsAsync("writer", t => t with { Services = ["cart"] });
        (await PlanAsync(writer, "cart.yml", $"b: '{{cipher}}{MySecret}'\n")).ShouldContain("\"changes\"");
        (await PlanAsync(writer, "cart.yml", $"b: '{{cipher}}{forged}'\n")).ShouldContain("\"breaks\"");
        // Of a document it may not write it learns nothing, nor that a push would be refused.
        (await PlanAsync(writer, "shop.yml", $"p: '{{cipher}}{forged}'\n")).ShouldContain("\"valid\":true");
        (await PlanAsync(writer, "shop.yml", $"p: '{{cipher}}{MySecret}'\nq: 1\n")).ShouldContain("\"valid\":true");

        static async Task<string> PlanAsync(TestCaller caller, string path, string content) =>
            (await caller.PostAsync("/v1/plan", new { files = new Dictionary<string, string> { [path] = content } })).Ok().Json.GetRawText();
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("-----BEGIN RSA PRIVATE KEY-----\n")]
    [InlineData(null)]
    public async Task A_key_that_cannot_be_used_ends_the_start(string? content)
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        (await Should.ThrowAsync<Lockstep.Client.LockstepException>(() => StartAsync(repository, content))).Message.ShouldContain("spring.encryptKeyFile");
    }

    [Theory]
    [InlineData("""{"path":"foo-local-dev.yml"}""", "", """["foo-local-dev","foo-local","foo"]""")]
    [InlineData("""{"path":["a.yml","x/b.properties","a.yml"]}""", "", """["a","b"]""")]
    [InlineData("""{"path":"application.yml"}""", "", """["*"]""")]
    [InlineData("""{"path":"application-dev.yml"}""", "", """["*"]""")]
    [InlineData("path=foo.yml&path=bar.yml", "Content-Type: application/x-www-form-urlencoded", """["foo","bar"]""")]
    [InlineData("""{"commits":[{"added":["a.yml"],"removed":["b.yml"],"modified":["d/c.yml"]}]}""", "X-Github-Event: push", """["a","b","c"]""")]
    [InlineData("""{"commits":[{"modified":["c.yml"]}]}""", "X-Gitlab-Event: Push Hook", """["c"]""")]
    [InlineData("""{"commits":[{"modified":["c.yml"]}]}""", "X-Gogs-Event: push", """["c"]""")]
    [InlineData("""{"commits":[{"modified":["c.yml"]}]}""", "X-Gitea-Event: push", """["*"]""")]
    [InlineData("""{"push":{"changes":[]}}""", "X-Event-Key: repo:push;X-Hook-UUID: u", """["*"]""")]
    [InlineData("""{"push":{"changes":[]}}""", "X-Event-Key: repo:push", "[]")]
    [InlineData("""{"changes":[]}""", "X-Event-Key: repo:refs_changed;X-Request-Id: r", """["*"]""")]
    [InlineData("""{"zen":"x"}""", "X-Github-Event: ping", "[]")]
    [InlineData("[]", "", "[]")]
    [InlineData("""{"path":"applications.yml"}""", "", "[]")]
    [InlineData("{", "", null)]
    [InlineData("""{"path":"\ud800x"}""", "", null)]
    public async Task A_hook_names_the_services_and_the_change_comes_in_the_background(string body, string headers, string? services)
    {
        using var repository = TestRepository.With(("shop.yml", "a: 1\n"));
        await using var server = await TestServer.StartAsync(repository);
        var denied = await (await server.AsAsync("reader")).SendAsync("POST", "/spring/monitor", body);
        denied.Status.ShouldBe(403);
        repository.Commit(("shop.yml", "a: 2\n"));
        var request = new HttpRequestMessage(HttpMethod.Post, server.Server.Address + "/spring/monitor") { Content = new StringContent(body, Encoding.UTF8, "application/json") };
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + server.Admin.Token);
        foreach (var header in headers.Split(';', StringSplitOptions.RemoveEmptyEntries))
        {
            var (name, value) = (header.Split(": ", 2)[0], header.Split(": ", 2)[1]);
            if (name == "Content-Type") request.Content.Headers.ContentType = new(value);
            else request.Headers.TryAddWithoutValidation(name, value);
        }
        var answer = await server.SendAsync(request);
        answer.Status.ShouldBe(services is null ? 400 : 200, answer.Text);
        if (services is null) return;
        answer.Text.ShouldBe(services);
        if (services == "[]") return;
        await Poll.UntilAsync(async () => (await server.Admin.ConfigAsync("shop/dev")).Value("a") == "2", "the commit is served");
    }

    private static Task<TestServer> StartAsync(TestRepository repository, string? key) => TestServer.StartAsync(repository, o =>
    {
        var file = Path.Combine(Path.GetDirectoryName(o.Data)!, "key");
        if (key is not null) File.WriteAllText(file, key);
        return o with { Spring = new SpringOptions { EncryptKeyFile = file } };
    });

    private static async Task<byte[]> ReadAsync(string file)
    {
        await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var buffer = new MemoryStream();
        await stream.CopyToAsync(buffer);
        return buffer.ToArray();
    }
}
