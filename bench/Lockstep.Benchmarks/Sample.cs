using System.Net.Http.Json;
using System.Text;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>A server with two documents of about 2 KB as JSON: <c>plain</c> without secrets, and <c>sealed</c>, a quarter of whose keys refer to them.</summary>
internal sealed class Sample : IAsyncDisposable
{
    private const int Keys = 40;

    private readonly Scratch _scratch = new();
    private PublishedServer? _server;

    private Sample()
    {
    }

    public PublishedServer Server => _server!;

    /// <param name="settings">More of <c>server.yaml</c>.</param>
    public static async Task<Sample> StartAsync(string settings = "")
    {
        var sample = new Sample();
        try
        {
            await sample.SetUpAsync(settings);
            return sample;
        }
        catch
        {
            await sample.DisposeAsync();
            throw;
        }
    }

    public Uri Document(string service) => new(Server.Address, $"/v1/config/{service}/production");

    public Task<byte[]> ReadAsync(string service) => Server.Client.GetByteArrayAsync(Document(service));

    public async ValueTask DisposeAsync()
    {
        if (_server is not null) await _server.DisposeAsync();
        _scratch.Dispose();
    }

    private async Task SetUpAsync(string settings)
    {
        var repository = await ConfigRepository.CreateAsync(_scratch["config.git"], [("plain.yml", Text(sealedKeys: 0)), ("sealed.yml", Text(Keys / 4))]);
        _server = await PublishedServer.StartAsync(new() { Settings = $"{Processes.Unlimited}\n{settings}", ConfigUrl = repository.Path });
        foreach (var id in Enumerable.Range(0, 4))
        {
            using var made = await _server.Client.PostAsJsonAsync(new Uri("/v1/secrets", UriKind.Relative),
                new { id = $"bench/db{id}", value = new { user = "bench", password = $"a-password-of-some-length-{id}" } });
            made.EnsureSuccessStatusCode();
        }
    }

    private static string Text(int sealedKeys)
    {
        var text = new StringBuilder("bench:\n");
        for (var key = 0; key < Keys; key++)
        {
            var value = key < sealedKeys ? $"${{secret:bench/db{key % 4}#password}}" : $"a-value-of-some-length-{key:00}";
            text.Append("  section").Append(key / 10).Append("-key").Append(key.ToString("00")).Append(": \"").Append(value).Append("\"\n");
        }
        return text.ToString();
    }
}
