using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Settings;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    // Documents that one release names.
    private const int MaxDocuments = 1_000;

    /// <summary>Fetches Git now; completes when readers see what came of it.</summary>
    public async Task<ReleaseOutcome> RefreshAsync(CallContext call, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.ConfigWrite, Subject.Nothing, "config.refresh");
        await Refresh.FetchAsync(cancellationToken);
        return await FollowAsync(call, cancellationToken);
    }

    /// <summary>Has the server fetch Git soon, for a caller who does not wait for it.</summary>
    public async Task RefreshSoonAsync(CallContext call)
    {
        await RequireAsync(call, Permission.ConfigWrite, Subject.Nothing, "config.refresh");
        FetchSoon();
    }

    /// <summary>Has the server fetch Git soon, by itself. Without a caller: for who has shown otherwise that there is something to fetch. However often, one fetch waits at most.</summary>
    public void FetchSoon() => Refresh.Schedule.Ask();

    /// <summary>Makes a release of where the refs stand now, if they moved.</summary>
    public Task<ReleaseOutcome> FollowAsync(CallContext call, CancellationToken cancellationToken) => FollowAsync(call, byCaller: false, cancellationToken);

    // The release is by the author of the newest commit, or by the caller who brought it.
    private Task<ReleaseOutcome> FollowAsync(CallContext call, bool byCaller, CancellationToken cancellationToken) =>
        Lane.RunAsync(async (live, ct) =>
        {
            // Read in turn: of two who follow, the later never goes back to what the earlier saw.
            var refs = await Refresh.RefsAsync(live.Release, ct);
            var moved = refs.Where(r => live.Release.Refs.GetValueOrDefault(r.Key) != r.Value).Select(r => r.Key)
                .Concat(live.Release.Refs.Keys.Where(name => !refs.ContainsKey(name))).Order(StringComparer.Ordinal).ToList();
            var shape = DocumentShape.Of(Options.Config, Options.Spring.Overrides, CipherKey?.Identity);
            var first = live.Release.Number == 0;
            if (moved.Count == 0 && !first && shape.Hash == live.Release.Shape.Hash) return new ReleaseChange("git", call.Caller.Name, live.Release) { MayBreak = true };
            var next = live.Release.Next(Time) with { Refs = refs, Shape = shape };
            var (by, message) = await DescribeAsync(moved, refs, ct);
            if (byCaller && by is not null && by != call.Caller.Name) (by, message) = (call.Caller.Name, $"{message} (by {by})");
            var kind = moved.Count == 0 && !first ? "shape" : "git";
            return new ReleaseChange(kind, by ?? call.Caller.Name, next)
            {
                Message = message,
                MayBreak = true,
                Commits = [.. moved.Select(name => refs.GetValueOrDefault(name)).OfType<string>().Distinct(StringComparer.Ordinal)],
                Persist = session => Record(session, call, Entry(call, "release." + kind, string.Join(' ', moved.Take(20))) with { Release = next.Number, Detail = message }),
            };
        }, cancellationToken);

    /// <summary>The releases before <paramref name="before"/>, newest first, as far as the caller may read what they changed.</summary>
    public async Task<(List<ReleaseRecord> Items, long? Next)> ReleasesAsync(CallContext call, long before, int limit, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "release.list");
        var releases = await History.AllAsync(before, limit, key => MayKnow(call.Caller, key), 0, cancellationToken);
        var items = releases.Where(r => IsVisible(call.Caller, r)).ToList();
        return (items, releases.Count == limit ? releases[^1].Number : null);
    }

    /// <summary>One release, as far as the caller may read what it changed.</summary>
    public async Task<ReleaseRecord> ReleaseAsync(CallContext call, long number, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "release.show");
        var found = await History.AllAsync(Existing(number) + 1, 1, key => MayKnow(call.Caller, key), MaxDocuments, cancellationToken);
        if (IsVisible(call.Caller, found[0])) return found[0];
        await RecordDenialAsync(call, "release.show", number.ToString(System.Globalization.CultureInfo.InvariantCulture), Permission.ConfigRead.Name());
        throw new LockstepException(ErrorCode.Forbidden, $"release {number} changed nothing that the token '{call.Caller.Name}' may read");
    }

    /// <summary>Of the documents that a change concerns, those that the caller may know of.</summary>
    public static IEnumerable<DocumentChange> VisibleChanges(CallContext call, ReleaseOutcome outcome) => outcome.Changes.Where(c => MayKnow(call.Caller, c.Key));

    private static bool MayKnow(Caller caller, DocumentKey key)
    {
        foreach (var environment in key.Environments)
            if (!caller.Can(Permission.ConfigRead, Subject.Of(key.Service, environment))) return false;
        return true;
    }

    // A caller for all services sees every release; others only those that changed a document of theirs.
    private static bool IsVisible(Caller caller, ReleaseRecord release) => caller.Grant.ReachesEverything(Permission.ConfigRead) || release.Changes.Count > 0;

    private async Task<(string? By, string Message)> DescribeAsync(
        List<string> moved, ImmutableDictionary<string, string> refs, CancellationToken cancellationToken)
    {
        var tracked = GitNames.BranchRef(TrackedBranch);
        var name = moved.Contains(tracked) ? tracked : moved.FirstOrDefault();
        if (name is null) return (null, Lane.Live.Release.Number == 0 ? "first start" : "the settings that shape documents");
        if (!refs.TryGetValue(name, out var commit)) return (null, $"{name} deleted");
        if (await Repository.DescribeAsync(commit, cancellationToken) is not { } info) return (null, name);
        return (info.Author, name == tracked ? info.Subject : $"{name}: {info.Subject}");
    }
}
