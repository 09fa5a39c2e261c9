using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Settings;

namespace Lockstep.Releases;

/// <summary>Brings the mirror up to date, and says where the refs stand. Callers that ask while a fetch runs share the next one.</summary>
internal sealed class GitRefresh(GitRepository git, ReleaseLane lane, RefreshSchedule schedule, string branch) : IDisposable
{
    private static readonly Histogram<double> s_fetches = Telemetry.Seconds("lockstep.git.fetch.duration", "Fetches from the remote repository, failed ones with an error.type");

    private readonly CancellationTokenSource _stop = new();

    private string Gone => $"the branch '{branch}' is gone from the repository";

    private readonly string _tracked = GitNames.BranchRef(branch);
    private readonly Lock _lock = new();
    private Task? _running;
    private Task? _next;

    /// <summary>When the next fetch is due, for who fetches in the background.</summary>
    public RefreshSchedule Schedule => schedule;

    /// <summary>Fetches after this call began. A failure marks the documents stale and is thrown.</summary>
    /// <exception cref="LockstepException">unavailable, with the reason.</exception>
    public Task FetchAsync(CancellationToken cancellationToken)
    {
        Task mine;
        lock (_lock)
        {
            // One that waits for its turn has not begun yet.
            if (_next is null && (_running is null or { IsCompleted: true }))
            {
                mine = _running = RunAsync();
            }
            else
            {
                mine = _next ??= AfterAsync(_running!);
            }
        }
        return mine.WaitAsync(cancellationToken);
    }

    /// <summary>
    /// The refs as the mirror has them, without asking the remote. The branch that everything follows is never given up: when it is gone it stands where it
    /// stood at <paramref name="release"/>.
    /// </summary>
    public async Task<ImmutableDictionary<string, string>> RefsAsync(ReleaseState release, CancellationToken cancellationToken)
    {
        var refs = await git.RefsAsync(cancellationToken);
        if (refs.ContainsKey(_tracked) || !release.Refs.TryGetValue(_tracked, out var last)) return refs;
        lane.MarkStale(Gone);
        return refs.SetItem(_tracked, last);
    }

    /// <summary>Ends a fetch that is under way.</summary>
    public void Dispose()
    {
        _stop.Cancel();
    }

    private async Task AfterAsync(Task running)
    {
        // Never at once: the caller, who holds the lock, has yet to note this as the next one.
        await running.ConfigureAwait(ConfigureAwaitOptions.ForceYielding | ConfigureAwaitOptions.SuppressThrowing);
        lock (_lock)
        {
            (_running, _next) = (_next, null);
        }
        await RunAsync();
    }

    private async Task FetchNowAsync()
    {
        using var time = Telemetry.Time(s_fetches, "git fetch");
        await git.FetchAsync(_stop.Token);
        time.Done();
    }

    private async Task RunAsync()
    {
        await Task.Yield();
        schedule.Begin();
        var succeeded = false;
        try
        {
            await FetchNowAsync();
            var refs = await git.RefsAsync(_stop.Token);
            var isGone = !refs.ContainsKey(_tracked) && lane.Live.Release.Refs.ContainsKey(_tracked);
            lane.MarkStale(isGone ? Gone : null);
            succeeded = true;
        }
        catch (LockstepException e)
        {
            lane.MarkStale(e.Message);
            if (e.Code == ErrorCode.Unavailable) throw;
            // What is wrong with the remote is no mistake of the caller's.
            throw new LockstepException(ErrorCode.Unavailable, e.Message, e);
        }
        finally
        {
            schedule.End(succeeded);
        }
    }
}
