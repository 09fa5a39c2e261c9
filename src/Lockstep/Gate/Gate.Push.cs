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
    private const int MaxPushLines = 50;
    private const int MaxNamedDocuments = 20;

    /// <summary>Refuses, on the record, a caller who may not read every file: a clone gives all of them, with their history.</summary>
    public async ValueTask RequireCloneAsync(CallContext call)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "git.fetch");
        if (call.Caller.Grant.ReachesEveryFile) return;
        await RecordDenialAsync(call, "git.fetch", "**", Permission.ConfigRead.Name());
        throw new LockstepException(ErrorCode.Forbidden,
            $"the token '{call.Caller.Name}' may not clone: that gives every file, and its role '{call.Caller.Role}' does not have paths: [\"**\"] (or the token narrows it)");
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
        Tokens.EnsureCurrent(call.Caller);
        if (refs.Count > MaxPushedRefs) return Refused($"{refs.Count} branches and tags at once; push at most {MaxPushedRefs}");
        var moved = ImmutableDictionary.CreateBuilder<string, string?>(StringComparer.Ordinal);
        var lines = new List<string>();
        var there = await Repository.RefsAsync(cancellationToken);
        foreach (var pushed in refs)
        {
            if (await RefusalAsync(call, reader, pushed, there, cancellationToken) is { } refusal) return Refused(refusal);
            var commit = pushed.New is null ? null : await reader.Objects.PeelAsync(pushed.New, cancellationToken);
            if (pushed.New is not null && commit is null) lines.Add($"warning: {GitNames.ShortName(pushed.Name)} names no commit; nothing is served from it");
            else moved[pushed.Name] = commit;
        }
        var report = await Candidates.EvaluateAsync(reader, state => state with { Refs = Moved(state.Refs, moved) }, cancellationToken);
        await AuthoriseAsync(call, report, "git.push");
        // Its readers keep what they have; that is no reason to keep a branch.
        var gone = refs.Where(r => r.New is null).Select(r => GitNames.ShortName(r.Name)).ToHashSet(StringComparer.Ordinal);
        report = report with { Documents = [.. report.Documents.Select(d => d.Key.Label is { } label && gone.Contains(label) ? d with { MayBreak = true } : d)] };
        lines.AddRange(Describe(report));
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
        catch (LockstepException e) when (e.Code == ErrorCode.Unauthenticated)
        {
            // The token was rolled between the check and now. The ref has moved all the same.
            return await FollowAsync(new CallContext(Caller.System("git"), null, null, null, call.Route), CancellationToken.None);
        }
    }

    /// <summary>What a release came to, for the one who made it.</summary>
    public static IReadOnlyList<string> DescribeOutcome(CallContext call, ReleaseOutcome outcome)
    {
        var visible = VisibleChanges(call, outcome).ToList();
        if (visible.Count == 0) return [$"release {outcome.Release.Number} changed no known document"];
        var lines = visible.Take(MaxNamedDocuments).Select(c => $"release {outcome.Release.Number} changed {c.Key} ({Count(c.Keys?.Length ?? 0, "key")})").ToList();
        if (visible.Count > lines.Count) lines.Add($"release {outcome.Release.Number} changed {Count(visible.Count - lines.Count, "more document")}");
        return lines;
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
        if (name != GitNames.BranchRef(TrackedBranch)) return null;
        if (next is null) return $"{TrackedBranch} is the branch that everything follows; it can't be deleted";
        if (old is null || call.Caller.Can(Permission.Admin, Subject.Nothing) || await reader.IsAncestorAsync(old, next, cancellationToken)) return null;
        return $"this would take commits out of {TrackedBranch}, which needs admin; use `git revert` and push that";
    }

    private static IEnumerable<string> Describe(CandidateReport report)
    {
        var errors = report.Errors.Select(e => "error: " + e)
            .Concat(report.Broken.SelectMany(d => d.Errors.Select(e => (Document: d.Key, Error: e))).GroupBy(e => e.Error.ToString(), StringComparer.Ordinal)
                // What every document shares is told once.
                .Where(g => !report.Errors.Any(e => e.ToString() == g.Key))
                .Select(g => $"error: {g.Key} ({Few(g.Select(e => e.Document))})")).ToList();
        var still = report.Documents.Where(d => !d.IsValid && !d.Breaks).Select(d => d.WasValid
            ? $"warning: {d.Key} is read from a branch or tag that goes; its readers keep what they have, marked stale"
            : $"warning: {d.Key} still does not resolve: {d.Errors.FirstOrDefault()}");
        var warnings = report.Warnings.Select(w => "warning: " + w).Concat(still)
            .Concat(report.Documents.SelectMany(d => d.Warnings.Select(w => (d.Key, Warning: w.ToString()))).GroupBy(w => w.Warning, StringComparer.Ordinal)
                .Select(g => $"warning: {g.Key} ({Few(g.Select(w => w.Key))})")).ToList();
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
