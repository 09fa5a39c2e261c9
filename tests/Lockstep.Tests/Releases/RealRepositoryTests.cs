using System.Text;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Releases;

/// <summary>The configuration of Spring's Pet Clinic, with its history, as it is.</summary>
public sealed class RealRepositoryTests
{
    private static readonly string[] s_services = ["admin-server", "api-gateway", "customers-service", "discovery-server", "genai-service", "tracing-server", "vets-service", "visits-service"];
    private static readonly string[] s_environments = ["default", "docker", "mysql", "chaos-monkey", "docker,mysql"];

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_real_repository_serves_as_it_is()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        using var repository = Open(bundle);
        await using var server = await TestServer.StartAsync(repository);
        foreach (var service in s_services)
        {
            foreach (var environment in s_environments)
            {
                var answer = (await server.Admin.ConfigAsync($"{service}/{environment}")).Ok();
                answer.Header("Lockstep-Stale").ShouldBeNull();
                answer.Value("server.shutdown").ShouldBe("graceful");
                // Written as a flat key and as nested ones.
                answer.Value("management.endpoints.web.exposure.include").ShouldBe("*");
                answer.Values.GetProperty("eureka.instance.prefer-ip-address").ValueKind.ShouldBe(System.Text.Json.JsonValueKind.True);
                answer.Value("chaos.monkey.enabled").ShouldBe(environment == "chaos-monkey" ? "True" : null);
                answer.Value("spring.sql.init.mode").ShouldBe(environment.Contains("mysql", StringComparison.Ordinal) ? "ALWAYS" : null);
                answer.Value("spring.datasource.password").ShouldBe(environment.Contains("mysql", StringComparison.Ordinal) ? "petclinic" : null);
                answer.Text.ShouldNotContain("\ufeff");
                foreach (var format in new[] { "nested", "yaml", "properties" })
                    (await server.Admin.ConfigAsync($"{service}/{environment}", "?format=" + format)).Status.ShouldBe(200, $"{service}/{environment} {format}");
            }
        }
        // A file that starts with a byte order mark.
        var local = (await server.Admin.ConfigAsync("customers-service/default")).Ok();
        local.Value("eureka.instance.instance-id").ShouldBe("${spring.application.name}:${random.uuid}");
        local.Value("server.port").ShouldBe("0");
        var docker = (await server.Admin.ConfigAsync("customers-service/docker")).Ok();
        docker.Value("server.port").ShouldBe("8081");
        docker.Value("eureka.instance.instance-id").ShouldBeNull();
        docker.Value("eureka.client.serviceUrl.defaultZone").ShouldBe("http://discovery-server:8761/eureka/");
        docker.Value("management.tracing.export.zipkin.endpoint").ShouldBe("http://tracing-server:9411/api/v2/spans");
        (await server.Admin.ConfigAsync("nobody/default")).ShouldBe(404);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_change_of_one_file_changes_the_documents_made_of_it()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        using var repository = Open(bundle);
        await using var server = await TestServer.StartAsync(repository);
        foreach (var service in s_services)
            foreach (var environment in s_environments) (await server.Admin.ConfigAsync($"{service}/{environment}")).Ok();

        Append("vets-service.yml", "\n---\nvets.extra: 1\n");
        (await server.RefreshAsync()).ShouldBe(s_environments.Select(e => "vets-service/" + e).Order(StringComparer.Ordinal));
        Append("application.yml", "\n---\nspring.config.activate.on-profile: docker\nextra: 1\n");
        (await server.RefreshAsync()).ShouldBe(Docker(s_services));
        Append("README.md", "more\n");
        (await server.RefreshAsync()).ShouldBeEmpty();
        // A file that was not there before.
        repository.Commit(("application-mysql.properties", "added=yes\n"));
        (await server.RefreshAsync()).ShouldBe(s_services.SelectMany(s => new[] { s + "/docker,mysql", s + "/mysql" }).Order(StringComparer.Ordinal));
        repository.Delete("application-mysql.properties");
        (await server.RefreshAsync()).Length.ShouldBe(2 * s_services.Length);

        void Append(string path, string text) => repository.Commit(path, [.. File.ReadAllBytes(Path.Combine(repository.Path, path)), .. Encoding.UTF8.GetBytes(text)]);

        static IEnumerable<string> Docker(string[] services) => services.SelectMany(s => new[] { s + "/docker", s + "/docker,mysql" }).Order(StringComparer.Ordinal);
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task A_commit_that_touches_one_service_reaches_its_watchers_and_no_other()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        using var repository = Open(bundle);
        await using var server = await TestServer.StartAsync(repository);
        var watchers = new Dictionary<string, TestWatcher>(StringComparer.Ordinal);
        foreach (var service in s_services)
        {
            watchers[service] = await TestWatcher.ConnectAsync(server, server.Admin.Token, service);
            for (var id = 0; id < s_environments.Length; id++) await watchers[service].SubscribeAsync(id, $"{service}/{s_environments[id]}");
        }
        repository.Commit("vets-service.yml", [.. File.ReadAllBytes(Path.Combine(repository.Path, "vets-service.yml")), .. "\n---\nvets.extra: 1\n"u8]);
        await server.RefreshAsync();
        var reached = new List<int>();
        for (var n = 0; n < s_environments.Length; n++)
        {
            var change = await watchers["vets-service"].NextAsync();
            change.GetProperty("set").GetRawText().ShouldBe("""{"vets.extra":1}""");
            change.GetProperty("commit").GetString().ShouldBe(repository.Head);
            reached.Add(change.GetProperty("id").GetInt32());
        }
        reached.ShouldBe(Enumerable.Range(0, s_environments.Length), ignoreOrder: true);
        foreach (var (service, watcher) in watchers)
        {
            (await watcher.IsQuietAsync()).ShouldBeTrue(service);
            await watcher.DisposeAsync();
        }
    }

    [Fact]
    [Trait("speed", "medium")]
    public async Task Its_whole_past_can_be_read()
    {
        if (SharedFiles.Find("data/petclinic-config.bundle") is not { } bundle) return;
        using var repository = Open(bundle);
        var commits = repository.Git("log", "--format=%H").Split('\n');
        repository.Git("tag", "old", commits[20]);
        await using var server = await TestServer.StartAsync(repository);
        var served = 0;
        foreach (var commit in commits)
        {
            var answer = await server.Admin.ConfigAsync("customers-service/docker", "?label=" + commit);
            answer.Status.ShouldBeOneOf([200, 404, 422], commit);
            if (answer.Status != 200) continue;
            served++;
            answer.Json.GetProperty("commit").GetString().ShouldBe(commit);
        }
        served.ShouldBeGreaterThan(commits.Length / 2);
        var tagged = (await server.Admin.ConfigAsync("customers-service/docker", "?label=old")).Ok();
        tagged.Json.GetProperty("commit").GetString().ShouldBe(commits[20]);
        tagged.Values.GetRawText().ShouldBe((await server.Admin.ConfigAsync("customers-service/docker", "?label=" + commits[20])).Ok().Values.GetRawText());
        tagged.Values.GetRawText().ShouldNotBe((await server.Admin.ConfigAsync("customers-service/docker")).Ok().Values.GetRawText());
    }

    private static TestRepository Open(string bundle)
    {
        var repository = new TestRepository();
        repository.Git("fetch", "--quiet", bundle, "refs/heads/main");
        repository.Git("reset", "--quiet", "--hard", "FETCH_HEAD");
        return repository;
    }
}
