using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Settings;

namespace Lockstep.Gate;

/// <summary>
/// The one way to configuration and secrets. Every method takes the caller first, authorises, records what must be recorded, then acts. Nothing else
/// reveals a secret value.
/// </summary>
internal sealed partial class Gate
{
    public required ReleaseLane Lane { get; init; }

    public required DocumentHistory History { get; init; }

    public required CandidateEvaluator Candidates { get; init; }

    public required GitRepository Repository { get; init; }

    public required ReleaseSources Sources { get; init; }

    public required GitRefresh Refresh { get; init; }

    public required SecretMounts Mounts { get; init; }

    public required SecretReader Secrets { get; init; }

    public required TokenTable Tokens { get; init; }

    public required Authenticator Authenticator { get; init; }

    public required ListCursors Cursors { get; init; }

    public required AuditLog Audit { get; init; }

    public required Storage.Database Database { get; init; }

    public required MasterKey MasterKey { get; init; }

    /// <summary>The key of <c>{cipher}</c> values; null without one.</summary>
    public CipherKey? CipherKey { get; init; }

    public required ServerOptions Options { get; init; }

    public required TimeProvider Time { get; init; }

    /// <summary>The tracked branch.</summary>
    public string TrackedBranch => Options.Config.Branch;

    /// <summary>The number of the newest release.</summary>
    public long NewestRelease => Lane.Live.Release.Number;

    /// <summary>Where the tracked branch stands at a release; null while it does not exist.</summary>
    public string? TrackedCommit(ReleaseState release) => ReleaseResolver.CommitOf(null, release);

    /// <summary>Refuses, on the record, a caller who lacks the permission.</summary>
    private ValueTask RequireAsync(CallContext call, Permission permission, Subject subject, string action) =>
        call.Caller.Can(permission, subject) ? ValueTask.CompletedTask : DenyAsync(call, permission, subject, action);

    private ValueTask RequireAsync(CallContext call, Permission permission, DocumentKey key, string action)
    {
        foreach (var environment in key.Environments)
        {
            var subject = Subject.Of(key.Service, environment);
            if (!call.Caller.Can(permission, subject)) return DenyAsync(call, permission, subject, action);
        }
        return ValueTask.CompletedTask;
    }

    private async ValueTask DenyAsync(CallContext call, Permission permission, Subject subject, string action)
    {
        await RecordDenialAsync(call, action, subject.ToString(), permission.Name());
        throw new LockstepException(ErrorCode.Forbidden, subject == Subject.Nothing
            ? $"the token '{call.Caller.Name}' may not do this: {call.Caller.Explain(permission, subject).Reason}"
            : $"the token '{call.Caller.Name}' has no {permission.Name()} on {subject}: {call.Caller.Explain(permission, subject).Reason}");
    }

    private async ValueTask RecordDenialAsync(CallContext call, string action, string subject, string detail)
    {
        GateMetrics.Denials.Add(1);
        try
        {
            await Audit.RecordAsync(Entry(call, action, subject) with { Decision = AuditEntry.Denied, Detail = detail }, CancellationToken.None);
        }
        catch (LockstepException)
        {
            // A denial stays a denial when the record can't be written; readiness reports that.
        }
    }

    // Every write ends here, in its own transaction: with its record, or, when the token died meanwhile, not at all.
    private void Record(Storage.SqlSession session, CallContext call, AuditEntry entry)
    {
        Authenticator.EnsureCurrent(session, call.Caller);
        Audit.Append(session, entry);
    }

    // Every disclosure passes here, but for those that are foreseen with a release: on the record first, and not to a token that died meanwhile.
    private async Task RecordDisclosureAsync(CallContext call, AuditEntry entry, CancellationToken cancellationToken)
    {
        await Audit.RecordAsync(entry, cancellationToken);
        Authenticator.EnsureCurrent(call.Caller);
        GateMetrics.Disclosures.Add(entry.Secrets.Count);
    }

    private AuditEntry Entry(CallContext call, string action, string? subject) => new()
    {
        At = Time.GetUtcNow(),
        Action = action,
        Decision = AuditEntry.Allowed,
        Actor = call.Caller.Name,
        TokenId = call.Caller.TokenId,
        Address = call.Address?.ToString(),
        Instances = call.Instance is null ? [] : [call.Instance],
        Trace = call.Trace,
        Route = call.Route,
        Subject = subject,
        Release = Lane.Live.Release.Number,
        Parent = call.Caller.Parent,
    };
}
