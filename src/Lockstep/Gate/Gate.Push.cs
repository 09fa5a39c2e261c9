using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Releases;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    private const int MaxPushedRefs = 200;
    private const int MaxPushedCommits = 1_000;
    private const int MaxPushLines = 50;
    private const int MaxNamedDocuments = 20;

    /// <summary>Refuses, on the record, a caller who may not read every file: a clone gives all of them, with their history.</summary>
    public async ValueTask RequireCloneAsync(CallContext call)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "git.fetch");
        await RequireEveryFileAsync(call, Permission.ConfigRead, "git.fetch", "clone: that gives every file");
    }

    /// <summary>Refuses, on the record, a caller who may not write any config; and everybody when the repository is written elsewhere.</summary>
    public async ValueTask RequirePushAsync(CallContext call)
    {
        await RequireAsync(call, Permission.ConfigWrite, Subject.Nothing, "git.push");
        if (!Repository.IsEmbedded)
            throw new LockstepException(ErrorCode.Forbidden, "this repository is a copy and read-only: push to the one that config.url names; it is fetched from there");
    }

    /// <summary>
    /// Looks at what a push would come to, with its objects where <paramref name="reader"/> finds them. Nothing has moved yet. What the caller may not do is on the
    /// record and thrown; what is wrong with the files is in the verdict.
    /// </summary>
    public async Task<PushVerdict> CheckPushAsync(CallContext call, GitReader reader, IReadOnlyList<PushedRef> refs, CancellationToken cancellationToken)
    {
        await RequirePushAsync(call);
        // What is pushed may have been long on its way.
        Authenticator.EnsureCurrent(call.Caller);
        if (refs.Count > MaxPushedRefs) return Refused($"{refs.Count} branches and tags at once; push at most {MaxPushedRefs}");
        var moved = ImmutableDictionary.CreateBuilder<string, string?>(StringComparer.Ordinal);
        var lines = new List<string>();
        var there = await Repository.RefsAsync(cancellationToken);
        foreach (var pushed in refs)
        {
            if (await RefusalAsync(call, reader, pushed, there, cancellationToken) is { } refusal) return Refused(refusal);
            var commit = moved[pushed.Name] = pushed.New is null ? null : await reader.Objects.PeelAsync(pushed.New, cancellationToken);
            if (pushed.New is null || commit is not null) continue;
            // What can't be found can't be checked. A tag may name something else than a commit; to those who read from it that is as if it went.
            var name = GitNames.ShortName(pushed.Name);
            if (!await reader.HoldsAsync(pushed.New, cancellationToken)) return Refused($"what {name} is to name can't be read; push again");
            if (pushed.Name == GitNames.BranchRef(name)) return Refused($"{name} would name no commit; a branch must");
            lines.Add($"warning: {name} names no commit; nothing is served from it");
        }
        if (await CrowdAsync(call, refs) is { } crowd) return Refused(crowd);
        var commits = await NewCommitsAsync(call.Caller, reader, moved.Values.OfType<string>(), cancellationToken);
        using var slot = await Candidates.WriteSlotAsync(cancellationToken);
        var report = await Candidates.EvaluateAsync(reader, state => state with { Refs = Moved(state.Refs, moved) }, commits, key => MayDecrypt(call.Caller, key), cancellationToken);
        await AuthoriseAsync(call, report, "git.push");
        // Its readers keep what they have; that is no reason to keep a branch.
        var gone = refs.Where(r => r.New is null).Select(r => GitNames.ShortName(r.Name)).ToHashSet(StringComparer.Ordinal);
        bool IsGone(string? label) => label is not null && gone.Contains(label) && report.Next.CommitOf(label) is null;
        report = report with { Documents = [.. report.Documents.Select(d => IsGone(d.Key.Label) ? d with { MayBreak = true } : d)] };
        lines.AddRange(Describe(call.Caller, report));
        if (report.IsSound) return new PushVerdict(true, lines);
        var wrong = report.Errors.Length + report.Broken.Count();
        return new PushVerdict(false, [.. lines, $"refused, nothing has changed: {wrong} {(wrong == 1 ? "thing is" : "things are")} wrong"]);
    }

    /// <summary>Makes a release of where a push or a commit by <paramref name="call"/> left the refs. Where they stand is the truth, so that it is followed in any case.</summary>
    public async Task<ReleaseOutcome> PushedAsync(CallContext call)
    {
        try
        {
            return await FollowAsync(call, byCaller: true, CancellationToken.None);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated || Authenticator.StandingOf(call.Caller) == Standing.OtherGrant)
        {
            // The token was rolled, or its role changed, between the check and now. The ref has moved all the same.
            return await FollowAsync(CallContext.System("git", call.Route), CancellationToken.None);
        }
    }

    /// <summary>What a release came to, for the one who made it.</summary>
    public static IReadOnlyList<string> DescribeOutcome(CallContext call, ReleaseOutcome outcome)
    {
        var visible = VisibleChanges(call, outcome).ToList();
        if (visible.Count == 0) return [$"release {outcome.Release.Number} changed no known document"];
        var lines = visible.Take(MaxNamedDocuments).Select(c => Describe(c, outcome.Release)).ToList();
        if (visible.Count > lines.Count) lines.Add($"release {outcome.Release.Number} changed {Count(visible.Count - lines.Count, "more document")}");
        return lines;
    }

    // A document can break although the check was passed: a secret may have changed meanwhile. With its branch or tag, that was said before.
    private static string Describe(DocumentChange change, ReleaseState release) =>
        change.Reason is null ? $"release {release.Number} changed {change.Key} ({Count(change.Keys?.Length ?? 0, "key")})"
        : ReleaseResolver.CommitOf(change.Key.Label, release) is null ? $"release {release.Number} left {change.Key} as it was, marked stale"
        : $"error: {change.Key} does not resolve at release {release.Number}: {change.Reason}";

    private async ValueTask RequireEveryFileAsync(CallContext call, Permission permission, string action, string what)
    {
        if (call.Caller.Grant.ReachesEveryFile(permission)) return;
        await RecordDenialAsync(call, action, "**", permission.Name());
        throw new LockstepException(ErrorCode.Forbidden,
            $"the token '{call.Caller.Name}' may not {what}, and its role '{call.Caller.Role}' does not have paths: [\"**\"] (or the token narrows it)");
    }

    // A branch that is like the tracked one changes no file, and yet there must not be any number of them: beyond a limit refs are not served.
    private async ValueTask<string?> CrowdAsync(CallContext call, IReadOnlyList<PushedRef> refs)
    {
        var tracked = GitNames.BranchRef(TrackedBranch);
        if (refs.Any(r => r.Name != tracked && (r.Old is null || r.New is null)))
            await RequireEveryFileAsync(call, Permission.ConfigWrite, "git.push", "create or delete branches and tags: they are about every file");
        var (more, limit) = (refs.Count(r => r.Old is null) - refs.Count(r => r.New is null), Repository.Limits.PushedRefs);
        return more > 0 && Repository.RefCount + more > limit
            ? $"there would be more than {limit:N0} branches and tags; delete those that nobody needs any more"
            : null;
    }

    /// <summary>Refuses, on the record, a caller who may not write every path and document that a candidate changes, or may not know of a secret that it adds a reference to.</summary>
    private async Task AuthoriseAsync(CallContext call, CandidateReport report, string action)
    {
        foreach (var path in report.Paths)
            await RequireAsync(call, Permission.ConfigWrite, Subject.OfPath(path), action);
        foreach (var document in report.Documents.Where(d => d.Changes))
            await RequireAsync(call, Permission.ConfigWrite, document.Key, action);
        foreach (var secret in report.AddedSecrets)
            await RequireAsync(call, Permission.SecretRead, Subject.Of(secret), action);
        foreach (var commit in report.Commits)
        {
            try
            {
                foreach (var path in commit.Paths) await RequireAsync(call, Permission.ConfigWrite, Subject.OfPath(path), action);
                foreach (var secret in commit.AddedSecrets) await RequireAsync(call, Permission.SecretRead, Subject.Of(secret), action);
            }
            catch (LockstepException e) when (e.Code == ErrorCode.Forbidden)
            {
                throw new LockstepException(e.Code, $"{e.Message}. That is in commit {commit.Id[..10]}: each one that is pushed can be read, so each must be allowed", e);
            }
        }
    }

    // A commit on the way to where a ref stands can be read by its id. Who may do everything anyway is spared the look.
    private static async Task<ImmutableArray<GitNewCommit>> NewCommitsAsync(Caller caller, GitReader reader, IEnumerable<string> tips, CancellationToken cancellationToken)
    {
        if (caller.Grant.ReachesEveryFile(Permission.ConfigWrite) && caller.Grant.ReachesEverything(Permission.ConfigWrite) && caller.Grant.ReachesEverything(Permission.SecretRead)) return [];
        return await reader.NewCommitsAsync(tips, MaxPushedCommits, cancellationToken);
    }

    private static ImmutableDictionary<string, string> Moved(ImmutableDictionary<string, string> refs, ImmutableDictionary<string, string?>.Builder moved)
    {
        foreach (var (name, commit) in moved)
            refs = commit is null ? refs.Remove(name) : refs.SetItem(name, commit);
        return refs;
    }

    private async Task<string?> RefusalAsync(
        CallContext call, GitReader reader, PushedRef pushed, ImmutableDictionary<string, string> there, CancellationToken cancellationToken)
    {
        var (name, old, next) = pushed;
        var shown = GitNames.Shown(name);
        var isBranch = name.StartsWith("refs/heads/", StringComparison.Ordinal);
        if ((!isBranch && !name.StartsWith("refs/tags/", StringComparison.Ordinal)) || !GitNames.IsBranchName(GitNames.ShortName(name)))
            return $"{shown} can't be pushed: only branches and tags with plain names are kept";
        if (isBranch && there.GetValueOrDefault(name) is var now && now != old)
            return $"{shown} is {(now is null ? "gone" : $"at {now[..10]}")} meanwhile: somebody else was faster; fetch, put your commits on top and push again";
        if (name != GitNames.BranchRef(TrackedBranch))
        {
            return next is not null && GitNames.LooksLikeId(GitNames.ShortName(name))
                ? $"{GitNames.ShortName(name)} can't be pushed: it could be taken for the id of a commit; choose a name that is not made of 7 to 64 hexadecimal digits alone"
                : null;
        }
        if (next is null) return $"{TrackedBranch} is the branch that everything follows; it can't be deleted";
        if (old is null || call.Caller.Can(Permission.Admin, Subject.Nothing) || await reader.IsAncestorAsync(old, next, cancellationToken)) return null;
        return $"this would take commits out of {TrackedBranch}, which needs admin; use `git revert` and push that";
    }

    // Of the documents that the caller may not know of only how many there are.
    private static IEnumerable<string> Describe(Caller caller, CandidateReport report)
    {
        var named = report.Documents.Where(d => MayKnow(caller, d.Key)).ToList();
        var errors = report.Errors.Select(e => "error: " + e)
            .Concat(named.Where(d => d.Breaks).SelectMany(d => d.Errors.Select(e => (Document: d.Key, Error: e))).GroupBy(e => e.Error.ToString(), StringComparer.Ordinal)
                // What every document shares is told once.
                .Where(g => !report.Errors.Any(e => e.ToString() == g.Key))
                .Select(g => $"error: {g.Key} ({Few(g.Select(e => e.Document))})")).ToList();
        var others = report.Broken.Count() - named.Count(d => d.Breaks);
        if (others > 0) errors.Add($"error: {Count(others, "document")} that the token may not read would no longer resolve");
        var still = named.Where(d => !d.IsValid && !d.Breaks).Select(d => d.WasValid
            ? $"warning: {d.Key} is read from a branch or tag that goes; its readers keep what they have, marked stale"
            : $"warning: {d.Key} still does not resolve: {d.Errors.FirstOrDefault()}");
        var warnings = report.Warnings.Select(w => "warning: " + w).Concat(still)
            .Concat(named.SelectMany(d => d.Warnings.Select(w => (d.Key, Warning: w.ToString()))).GroupBy(w => w.Warning, StringComparer.Ordinal)
                .Select(g => $"warning: {g.Key} ({Few(g.Select(w => w.Key))})")).ToList();
        others = report.Documents.Count(d => (!d.IsValid && !d.Breaks) || !d.Warnings.IsEmpty) - named.Count(d => (!d.IsValid && !d.Breaks) || !d.Warnings.IsEmpty);
        if (others > 0) warnings.Add($"warning: there are warnings about {Count(others, "document")} that the token may not read");
        return Bounded(errors, report.Unlisted).Concat(Bounded(warnings, 0));
    }

    private static IEnumerable<string> Bounded(List<string> lines, int unlisted)
    {
        var more = Math.Max(0, lines.Count - MaxPushLines) + unlisted;
        return lines.Take(MaxPushLines).Concat(more > 0 ? [$"… and {more} more"] : []);
    }

    private static string Few(IEnumerable<DocumentKey> keys)
    {
        var all = keys.Distinct().ToList();
        return string.Join(", ", all.Take(3)) + (all.Count > 3 ? $" and {all.Count - 3} more" : "");
    }

    private static string Count(int number, string what) => $"{number} {what}{(number == 1 ? "" : "s")}";

    private static PushVerdict Refused(string reason) => new(false, ["error: " + reason]);
}
