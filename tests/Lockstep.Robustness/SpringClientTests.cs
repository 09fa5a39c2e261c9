using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Shouldly;
using Xunit;
using Xunit.Abstractions;

namespace Lockstep.Robustness;

/// <summary>Clients of Spring Cloud Config read through <c>/spring</c> of the published program.</summary>
[Trait("speed", "medium")]
public sealed class SpringClientTests(ITestOutputHelper output)
{
    private const string Package = "cloud-config-client@1.6.2";

    // Prints what the client makes of it, or the status it was refused with.
    private const string Script = """
        const client = require('cloud-config-client');
        const [endpoint, pass, profiles] = process.argv.slice(2);
        client.load({ endpoint, name: 'shop', profiles: profiles.split(','), auth: { user: 'any', pass } })
            .then(c => console.log(JSON.stringify({ raw: c.properties, nested: c.toObject(), port: c.get('db.port') })))
            .catch(e => console.log(JSON.stringify({ error: String(e.message) })));
        """;

    [Fact]
    public async Task Nodes_client_reads_config_and_secrets_with_the_token_as_password()
    {
        using var scratch = new Scratch();
        if (!await Node.IsHereAsync(output)) return;
        (await Tool.RunAsync("npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", scratch.Path, Package)).Ok();
        scratch.Write("read.js", Script);
        await using var server = await ServerAsync(scratch);

        var whole = await ReadAsync(scratch, server, server.Token, "production,eu");
        whole.GetProperty("raw").GetProperty("db.password").GetString().ShouldBe("s-value");
        whole.GetProperty("port").GetInt32().ShouldBe(5433);
        whole.GetProperty("nested").GetProperty("hosts").EnumerateArray().Select(h => h.GetString()).ShouldBe(["b"]);
        whole.GetProperty("raw").GetProperty("shared").GetBoolean().ShouldBeTrue();
        (await ReadAsync(scratch, server, "lks_nonsense", "production")).GetProperty("error").GetString()!.ShouldContain("401");
        using var created = JsonDocument.Parse((await server.RunAsync("--json", "token", "create", "looker", "--role", "viewer")).Ok());
        var looker = created.RootElement.GetProperty("token").GetString()!;
        (await ReadAsync(scratch, server, looker, "production")).GetProperty("error").GetString()!.ShouldContain("403");
    }

    [Fact]
    public async Task What_a_Spring_Boot_or_Steeltoe_client_asks_is_answered()
    {
        using var scratch = new Scratch();
        await using var server = await ServerAsync(scratch);
        using var http = new HttpClient { BaseAddress = server.Address };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes("config:" + server.Token)));
        // Spring Boot asks for origins, takes either form, and sends headers of its own.
        using var request = new HttpRequestMessage(HttpMethod.Get, "/spring/shop/production");
        request.Headers.TryAddWithoutValidation("Accept", "application/vnd.spring-cloud.config-server.v2+json");
        request.Headers.TryAddWithoutValidation("X-Config-Token", "ignored");
        request.Headers.TryAddWithoutValidation("X-Config-State", "ignored");
        using var answer = await http.SendAsync(request);
        using var environment = JsonDocument.Parse((await answer.EnsureSuccessStatusCode().Content.ReadAsStringAsync()));
        var value = environment.RootElement.GetProperty("propertySources")[0].GetProperty("source").GetProperty("db.port");
        value.GetProperty("value").GetInt32().ShouldBe(5433);
        value.GetProperty("origin").GetString()!.ShouldEndWith("shop-production.yml]:1:13");
        foreach (var path in new[] { "/spring/shop/production/main", "/spring/main/shop-production.yml", "/spring/shop-production.json", "/spring/shop/production/main/nginx.conf" })
        {
            using var other = await http.GetAsync(path);
            ((int)other.StatusCode).ShouldBe(200, path);
        }
    }

    private static async Task<PublishedServer> ServerAsync(Scratch scratch)
    {
        await ConfigRepository.CreateAsync(scratch["repository.git"],
        [
            ("application.yml", "shared: true\nhosts: [a]\n"), ("shop.yml", "db: { port: 5432, password: '${secret:shop/db}' }\n"),
            ("shop-production.yml", "db: { port: 5433 }\n"), ("shop-eu.yml", "hosts: [b]\n"), ("nginx.conf", "proxy_pass ${db.port};\n"),
        ]);
        var server = await PublishedServer.StartAsync(new ServerSetup { ConfigUrl = scratch["repository.git"] });
        (await server.RunAsync("secret", "set", "shop/db", "s-value")).Ok();
        return server;
    }

    private static async Task<JsonElement> ReadAsync(Scratch scratch, PublishedServer server, string password, string profiles)
    {
        var result = await Tool.RunAsync("node", scratch["read.js"], new Uri(server.Address, "spring").ToString(), password, profiles);
        return JsonElement.Parse(result.Ok());
    }
}
