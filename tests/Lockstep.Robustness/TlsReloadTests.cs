using System.Collections.Concurrent;
using Lockstep.Tests.Support;
using Shouldly;
using Xunit;

namespace Lockstep.Robustness;

/// <summary>The program on https while its certificate is renewed under it, one file after the other.</summary>
[Trait("speed", "medium")]
public sealed class TlsReloadTests : IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly Scratch _scratch = new();

    public void Dispose()
    {
        _authority.Dispose();
        _scratch.Dispose();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task No_connection_is_refused_or_lost_while_pairs_are_swapped_file_by_file(bool certificateFirst)
    {
        await using var server = await StartAsync();
        var (names, failures) = (new ConcurrentDictionary<string, int>(StringComparer.Ordinal), new ConcurrentQueue<Exception>());
        using var stop = new CancellationTokenSource();
        using var kept = _authority.Client(name => names.AddOrUpdate("kept " + name, 1, (_, n) => n + 1));
        var newcomers = Enumerable.Range(0, 4).Select(_ => LoopAsync(async () =>
        {
            using var client = _authority.Client(name => names.AddOrUpdate(name, 1, (_, n) => n + 1));
            await AskAsync(client, server);
        }, failures, stop.Token)).ToList();
        newcomers.Add(LoopAsync(() => AskAsync(kept, server), failures, stop.Token));

        for (var n = 2; n <= 5; n++)
        {
            var (certificate, key) = _authority.Issue($"pair-{n}");
            await File.WriteAllTextAsync(certificateFirst ? _scratch["tls.crt"] : _scratch["tls.key"], certificateFirst ? certificate : key);
            // Long enough for the server to see the half of it, now and then.
            await Task.Delay(TimeSpan.FromMilliseconds(n * 700), TimeProvider.System);
            await File.WriteAllTextAsync(certificateFirst ? _scratch["tls.key"] : _scratch["tls.crt"], certificateFirst ? key : certificate);
            await Tool.UntilAsync(() => Task.FromResult(names.ContainsKey($"pair-{n}")), TimeSpan.FromSeconds(30), $"newcomers get pair {n}");
        }
        await stop.CancelAsync();
        await Task.WhenAll(newcomers);
        failures.ShouldBeEmpty();
        // One connection from the beginning to the end.
        names.Where(n => n.Key.StartsWith("kept", StringComparison.Ordinal)).ShouldHaveSingleItem().ShouldBe(new("kept pair-1", 1));
        server.Log.ShouldNotContain("\"Error\"");
    }

    [Fact]
    public async Task The_command_line_trusts_an_authority_of_SSL_CERT_FILE_and_no_other()
    {
        var root = _scratch.Write("root.pem", _authority.RootPem);
        var repository = await ConfigRepository.CreateAsync(_scratch["config.git"], [("shop.yml", "greeting: over-tls\n")]);
        await using var server = await StartAsync(repository.Path);
        foreach (var arguments in new string[][] { ["config", "get", "-s", "shop", "-e", "dev"], ["run", "--service", "shop", "--environment", "dev", "--", "env"] })
        {
            var trusting = server.CommandOf(arguments);
            trusting.Environment["SSL_CERT_FILE"] = root;
            (await Tool.RunAsync(trusting)).Ok().ShouldContain("over-tls");
            (await server.RunAsync(arguments)).ExitCode.ShouldNotBe(0);
        }
    }

    [Fact]
    public async Task A_certificate_that_does_not_load_ends_the_start()
    {
        await using var server = await StartAsync();
        await server.StopAsync();
        File.Delete(_scratch["tls.key"]);
        server.Launch();
        (await server.EndedAsync()).ShouldNotBe(0);
        server.Log.ShouldContain("tls.key of the setting tls can't be read");
    }

    private async Task<PublishedServer> StartAsync(string? repository = null)
    {
        var (certificate, key) = _authority.Issue("pair-1");
        return await PublishedServer.StartAsync(new()
        {
            ConfigUrl = repository,
            Tls = (_scratch.Write("tls.crt", certificate), _scratch.Write("tls.key", key)),
            NewClient = () => _authority.Client(),
        });
    }

    private static async Task AskAsync(HttpClient client, PublishedServer server)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(server.Address, "/v1/whoami"));
        request.Headers.Authorization = new("Bearer", server.Token);
        using var answer = await client.SendAsync(request);
        answer.EnsureSuccessStatusCode();
    }

    private static async Task LoopAsync(Func<Task> ask, ConcurrentQueue<Exception> failures, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await ask();
            }
            catch (Exception e) when (e is HttpRequestException or TaskCanceledException)
            {
                failures.Enqueue(e);
            }
        }
    }
}
