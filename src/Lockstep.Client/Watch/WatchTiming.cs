namespace Lockstep.Client;

/// <summary>The clock of a watcher and how long it waits for what.</summary>
internal sealed record WatchTiming
{
    public static WatchTiming Default { get; } = new();

    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>A number from 0 (included) to 1 (excluded), from anybody's thread. Not from a seed: processes that start together must not wait alike.</summary>
    public Func<double> Random { get; init; } = System.Random.Shared.NextDouble;

    /// <summary>How long a start waits for a server when it has a cache that it can go on with.</summary>
    public TimeSpan CachePatience { get; init; } = TimeSpan.FromSeconds(2);

    public TimeSpan BackoffStart { get; init; } = TimeSpan.FromMilliseconds(100);

    public TimeSpan BackoffCap { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A connection that held so long was a good one: the next wait is short again.</summary>
    public TimeSpan Held { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A server can't put a client to sleep for longer.</summary>
    public TimeSpan RetryAfterCap { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How often a ping is sent, and how long its answer may take, before the connection counts as dead.</summary>
    public TimeSpan KeepAlive { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>After the token was refused: how often it is looked whether there is another one, and when the same one is tried again.</summary>
    public TimeSpan TokenPoll { get; init; } = TimeSpan.FromSeconds(5);

    public TimeSpan RefusedRetry { get; init; } = TimeSpan.FromSeconds(30);
}
