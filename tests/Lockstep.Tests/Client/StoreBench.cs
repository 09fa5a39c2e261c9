using Lockstep.Client;

namespace Lockstep.Tests.Client;

/// <summary>Stores as the tests of them want them: quick to try again.</summary>
internal static class StoreBench
{
    public const string Token = "lks_test_token";

    public static WatchTiming Quick { get; } = new()
    {
        CachePatience = FakeWatchServer.Deadline, BackoffStart = TimeSpan.FromMilliseconds(1), BackoffCap = TimeSpan.FromMilliseconds(20), TokenPoll = TimeSpan.FromMilliseconds(20), RefusedRetry = TimeSpan.FromMilliseconds(100),
    };

    public static LockstepStoreOptions Options(params IEnumerable<Uri> addresses) => new()
    {
        Client = new LockstepClientOptions { Addresses = [.. addresses], Token = _ => ValueTask.FromResult<string?>(Token), Instance = "node-1" },
        Service = "payments",
        Environment = "production",
        StartTimeout = FakeWatchServer.Deadline,
        Timing = Quick,
    };

    public static LockstepStoreOptions WithToken(this LockstepStoreOptions options, Func<string?> token) =>
        options with { Client = options.Client with { Token = _ => ValueTask.FromResult(token()) } };

    /// <summary>A store that has its first document.</summary>
    public static async Task<(LockstepStore Store, FakeWatchConnection Connection)> OpenAsync(FakeWatchServer server, string values, LockstepStoreOptions? options = null)
    {
        var opening = LockstepStore.OpenAsync(options ?? Options(server.Address));
        var serving = server.ServeAsync(1, values);
        await Task.WhenAny(opening, serving);
        return (await opening, await serving);
    }

    public static string Text(this Snapshot snapshot, string key) => snapshot.Values[key].ToString();
}
