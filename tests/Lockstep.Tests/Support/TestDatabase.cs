using Lockstep.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Tests.Support;

/// <summary>A place for one database of either kind, opened as often as a test likes.</summary>
internal sealed class TestDatabase(string? url) : IDisposable
{
    public TempDirectory Directory { get; } = new();

    public string? Url => url;

    public static TestDatabase Sqlite() => new(null);

    public static async Task<TestDatabase> PostgresAsync() => new(await PostgresServer.CreateDatabaseAsync());

    public Task<Database> OpenAsync() => Database.OpenAsync(Directory.Path, url, NullLoggerFactory.Instance, TimeProvider.System, CancellationToken.None);

    public void Dispose() => Directory.Dispose();
}
