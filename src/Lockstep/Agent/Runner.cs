using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>Runs a command with a document as its environment, and keeps it in step with the document.</summary>
internal static class Runner
{
    public const int TimedOut = 7;
    public const int NotExecutable = 126;
    public const int NotFound = 127;

    /// <summary>
    /// Runs the command to its end; the result is its exit status, 128+n when signal n ended it, 126 or 127 when it can't be started.
    /// Nothing is read from the server for a command that does not exist. <paramref name="remark"/> gets what people should know.
    /// </summary>
    /// <exception cref="LockstepException">The document can't be had, or does not fit an environment: the command was not started. Or the token is no longer valid: it was stopped.</exception>
    public static async Task<int> RunAsync(LockstepClientOptions client, RunRequest request, Action<string> remark, CancellationToken cancellationToken)
    {
        var command = CommandPath.Find(request.Command[0]);
        if (command.Path is null)
        {
            remark(command.Problem!);
            return command.ExitCode;
        }
        var time = TimeProvider.System;
        client = client with { Instance = client.Instance ?? OwnName() };
        using var sockets = request.Options.Listen.Count > 0 ? new ListenSockets(request.Options.Listen) : null;
        var link = LinkFor(client, request, remark, time);
        var first = await FirstAsync(client, request, link, remark, cancellationToken);
        Tell(first, remark);

        // Before the start, so that a signal that arrives in between is not lost: it waits for the child.
        using var signals = new SignalForwarder();
        var supervisor = new Supervisor(request.Options, new Launcher(command.Path, request, sockets), signals, remark, time) { Reports = link.Reports };
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var running = supervisor.RunAsync(first);
        // The command has been started. Whether the watch stands when it ends makes no difference: the end is not held up by it.
        _ = Task.Run(() => link.HoldAsync(supervisor, ended.Token), CancellationToken.None);
        try
        {
            return await running;
        }
        finally
        {
            await ended.CancelAsync();
        }
    }

    private static WatchLink LinkFor(LockstepClientOptions client, RunRequest request, Action<string> remark, TimeProvider time) =>
        new(new LockstepStoreOptions
        {
            Client = client,
            Service = request.Service,
            Environment = request.Environment,
            Label = request.Query.Label,
            CacheFile = request.Options.Fallback,
            CacheMaxAge = request.Options.FallbackMaxAge,
            ReportsByHand = true,
        }, remark, time)
        {
            Follows = request.Query.Release is null,
        };

    /// <summary>
    /// The document to start with: by a plain read, which is there before a watch would be; with a fallback from the watch, which keeps it.
    /// </summary>
    private static async Task<Snapshot> FirstAsync(LockstepClientOptions options, RunRequest request, WatchLink link, Action<string> remark, CancellationToken cancellationToken)
    {
        if (request.Options.Fallback is { } file)
        {
            var store = await link.OpenAsync(cancellationToken);
            if (store.Status.FromCache)
                remark($"no server answers: running on {file}, which a server last confirmed at {store.CachedAt:yyyy-MM-dd HH:mm:ss'Z'} (release {store.Current.Release})");
            return store.Current;
        }
        using var client = new LockstepClient(options);
        var answer = await client.GetConfigAsync(request.Service, request.Environment, request.Query, cancellationToken);
        return answer.Snapshot ?? throw new LockstepException(ErrorCode.Unavailable, $"{client.Address} answered without a document");
    }

    /// <summary>Of this process among all that show the token.</summary>
    private static string OwnName() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Environment.MachineName}:{Environment.ProcessId}");

    private static void Tell(Snapshot snapshot, Action<string> remark)
    {
        if (snapshot.Stale is { } stale)
            remark($"the config of {snapshot.Service}/{snapshot.Environment} is not up to date since {stale.Since:yyyy-MM-dd HH:mm:ss'Z'}: {stale.Reason}");
        if (snapshot.Withheld.Count > 0)
            remark($"withheld, as the token may not see the secrets in them (secret:reveal): {string.Join(", ", snapshot.Withheld)}");
    }
}
