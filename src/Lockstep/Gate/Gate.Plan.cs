using System.Collections.Immutable;
using System.Text;
using Lockstep.Access;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Secrets;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>What a change of the tracked branch's files and of active secret versions would come to. Changes nothing; no value is in the answer.</summary>
    /// <param name="call">Who asks.</param>
    /// <param name="files">By path: the new content, null for a file that goes.</param>
    /// <param name="secrets">The version that would be the active one, by id.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task<Plan> PlanAsync(
        CallContext call, IReadOnlyDictionary<string, string?> files, IReadOnlyDictionary<SecretId, int> secrets, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "config.plan");
        foreach (var (id, version) in secrets)
        {
            await RequireAsync(call, Permission.SecretRead, Subject.Of(id), "config.plan");
            RequireVersion(await InfoAsync(id, cancellationToken), version);
        }
        using var slot = await Candidates.PlanSlotAsync(cancellationToken);
        // Made on one commit: when another comes meanwhile, the plan is for the one before.
        await using var scratch = Repository.Scratch();
        var refs = await ChangedRefsAsync(scratch, files, call.Caller.Name, cancellationToken);
        var report = await Candidates.EvaluateAsync(
            scratch.Reader, state => secrets.Aggregate(refs is null ? state : state with { Refs = refs }, (next, secret) => next.Activate(secret.Key, secret.Value)),
            [], key => MayDecrypt(call.Caller, key), cancellationToken);
        // What a reference to a secret comes to tells something of the secret.
        foreach (var id in report.AddedSecrets) await RequireAsync(call, Permission.SecretRead, Subject.Of(id), "config.plan");
        return new Plan(report, [.. report.Documents.Where(d => MayKnow(call.Caller, d.Key)).Select(d => (d, Fleet.Of(d.Key).Count))]);
    }

    // Null when no file differs.
    private async Task<ImmutableDictionary<string, string>?> ChangedRefsAsync(
        GitScratch scratch, IReadOnlyDictionary<string, string?> files, string author, CancellationToken cancellationToken)
    {
        if (files.Count == 0) return null;
        var release = Lane.Live.Release;
        var contents = files.ToDictionary(f => f.Key, f => f.Value is { } text ? Encoding.UTF8.GetBytes(text) : null, StringComparer.Ordinal);
        var commit = await scratch.CommitAsync(TrackedCommit(release), contents, author, "plan", cancellationToken);
        return release.Refs.SetItem(GitNames.BranchRef(TrackedBranch), commit);
    }
}

/// <summary>What a change would come to, as far as the caller may know it.</summary>
/// <param name="Report">All of it.</param>
/// <param name="Documents">The documents that the caller may read, each with the number of its live instances.</param>
internal sealed record Plan(CandidateReport Report, IReadOnlyList<(CandidateDocument Document, int Instances)> Documents);
