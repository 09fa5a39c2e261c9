using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Releases;
using Lockstep.Settings;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>The document of a service in an environment, now or at a release.</summary>
    /// <param name="call">Who asks.</param>
    /// <param name="key">What for; the tracked branch's name as label is the same as none.</param>
    /// <param name="release">A past release; null: the present.</param>
    /// <param name="etags">The value of <c>If-None-Match</c>; null: none.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async ValueTask<ConfigRead> ReadConfigAsync(
        CallContext call, DocumentKey key, long? release, string? etags, CancellationToken cancellationToken)
    {
        key = Canonical(key);
        await RequireAsync(call, Permission.ConfigRead, key, "config.read");
        var (head, document) = release is { } number
            ? await ReadPastAsync(key, number, cancellationToken)
            : await ReadNowAsync(key, cancellationToken);
        var rendered = ViewOf(document, call.Caller);
        if (etags is not null && Matches(etags, rendered.ETag))
        {
            GateMetrics.Reads.Add(1, GateMetrics.NotModified);
            return new ConfigRead(head, rendered, NotModified: true);
        }
        GateMetrics.Reads.Add(1, GateMetrics.Served);
        if (rendered.Discloses.IsEmpty) return new ConfigRead(head, rendered, NotModified: false);
        await RecordDisclosureAsync(
            call, Entry(call, "config.read", key.ToString()) with { Release = head.Release, Secrets = rendered.Discloses }, cancellationToken);
        return new ConfigRead(head, rendered, NotModified: false);
    }

    /// <summary>The releases before <paramref name="before"/> that changed a document, newest first.</summary>
    public async Task<List<ReleaseRecord>> HistoryAsync(CallContext call, DocumentKey key, long before, int limit, CancellationToken cancellationToken)
    {
        key = Canonical(key);
        await RequireAsync(call, Permission.ConfigRead, key, "config.history");
        await KnowAsync(key, cancellationToken);
        return await History.OfDocumentAsync(key, before, limit, cancellationToken);
    }

    /// <summary>The keys of a document that differ between two releases. Values of keys with secrets are not in it.</summary>
    public async Task<DocumentDiff> DiffAsync(CallContext call, DocumentKey key, long from, long to, CancellationToken cancellationToken)
    {
        key = Canonical(key);
        await RequireAsync(call, Permission.ConfigRead, key, "config.diff");
        var old = await History.AtAsync(key, Existing(from), Lane.Live.Release, cancellationToken);
        var next = await History.AtAsync(key, Existing(to), Lane.Live.Release, cancellationToken);
        if (!old.Resolution.HasOwnFile && !next.Resolution.HasOwnFile && !IsKnown(key)) throw NotKnown(key, $"at release {from} or {to}");
        return DocumentDiff.Between(old.Resolution, next.Resolution);
    }

    /// <summary>Pins a document, config and secrets together, to what it was at release <paramref name="to"/>.</summary>
    public async Task<ReleaseOutcome> RollbackAsync(CallContext call, DocumentKey key, long to, CancellationToken cancellationToken)
    {
        key = Pinnable(key);
        await RequireAsync(call, Permission.ConfigWrite, key, "config.rollback");
        await KnowAsync(key, cancellationToken);
        Existing(to);
        return await Lane.RunAsync(async (live, ct) =>
        {
            await RefuseUnservableAsync(key, to, live.Release, ct);
            var pins = live.Release.Pins.SetItem(new PinKey(key.Service, key.Environment), to);
            return PinChange(call, key, live, pins, "config.rollback", $"{key} pinned to release {to}");
        }, cancellationToken);
    }

    /// <summary>Takes a pin away: the document follows the tracked branch again.</summary>
    public async Task<ReleaseOutcome> UnpinAsync(CallContext call, DocumentKey key, bool force, CancellationToken cancellationToken)
    {
        key = Pinnable(key);
        await RequireAsync(call, Permission.ConfigWrite, key, "config.unpin");
        return await Lane.RunAsync((live, _) =>
        {
            if (ReleaseResolver.PinOf(key, live.Release) is null)
                throw new LockstepException(ErrorCode.NotFound, $"{key} is not pinned");
            var pins = live.Release.Pins.Remove(new PinKey(key.Service, key.Environment));
            return Task.FromResult(PinChange(call, key, live, pins, "config.unpin", $"{key} unpinned") with { MayBreak = force });
        }, cancellationToken);
    }

    // A label that is no branch or tag is a commit: it never changes, so it is read as the past is, and not kept up to date.
    private ValueTask<(SnapshotHead, Document)> ReadNowAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        var live = Lane.Live;
        return IsFollowed(live, key)
            ? ReadLiveAsync(key, cancellationToken)
            : ReadCommitAsync(key, live.Release, cancellationToken);
    }

    private static bool IsFollowed(LiveState live, DocumentKey key) =>
        key.Label is null || live.Release.CommitOf(key.Label) is not null || live.Documents.ContainsKey(key);

    private async ValueTask<(SnapshotHead, Document)> ReadCommitAsync(DocumentKey key, ReleaseState now, CancellationToken cancellationToken)
    {
        var document = await History.AtCommitAsync(key, now, cancellationToken);
        if (!document.Resolution.HasOwnFile) throw NotKnown(key, $"at '{key.Label}'");
        return (new SnapshotHead(now.Number, document.Resolution.Commit, null, null), document);
    }

    private async ValueTask<(SnapshotHead, Document)> ReadLiveAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        LiveState live;
        DocumentState? state;
        // Document and release number come from one state, also when a release is made meanwhile.
        while (!(live = Lane.Live).Documents.TryGetValue(key, out state)) await KnowAsync(key, cancellationToken);
        RequireFresh(live);
        if (state.Current is null) throw DoesNotResolve(key.ToString(), state.Resolution.Errors);
        state.Usage.LastServedAt = Time.GetUtcNow().ToUnixTimeMilliseconds();
        return (HeadOf(live, state), state.Current);
    }

    /// <summary>Whether the repository has not answered for so long that nothing is served any more.</summary>
    public bool IsTooStale(LiveState live) => live.Stale is { } stale && Time.GetUtcNow() - stale.Since > Options.Config.MaxStale;

    private void RequireFresh(LiveState live)
    {
        if (IsTooStale(live))
            throw new LockstepException(ErrorCode.Unavailable,
                $"the repository has not answered since {live.Stale!.Since:O}, longer than config.maxStale: {live.Stale.Reason}");
    }

    private static SnapshotHead HeadOf(LiveState live, DocumentState state)
    {
        if (state.Invalid is { } invalid)
            return new SnapshotHead(invalid.ValidAt, invalid.Commit, invalid.Pinned, new Staleness(invalid.Since, state.Resolution.Reason));
        // Not of Current: that may be an earlier resolution to the same bytes.
        return new SnapshotHead(live.Release.Number, ReleaseResolver.CommitFor(state.Resolution, live.Release), state.Resolution.Pinned, live.Stale);
    }

    private async ValueTask<(SnapshotHead, Document)> ReadPastAsync(DocumentKey key, long release, CancellationToken cancellationToken)
    {
        var document = await History.AtAsync(key, Existing(release), Lane.Live.Release, cancellationToken);
        if (!document.Resolution.HasOwnFile && !IsKnown(key)) throw NotKnown(key, $"at release {release}");
        return (new SnapshotHead(release, document.Resolution.Commit, document.Resolution.Pinned, null), document);
    }

    // Invalid there, or a version that it needs is gone since.
    private async Task RefuseUnservableAsync(DocumentKey key, long release, ReleaseState now, CancellationToken cancellationToken)
    {
        try
        {
            await History.AtAsync(key, release, now, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.InvalidConfig || e.Code == ErrorCode.NotFound)
        {
            throw new LockstepException(ErrorCode.Conflict, $"{key} can't be pinned to release {release}: {e.Message}", e) { Errors = e.Errors };
        }
    }

    private ReleaseChange PinChange(
        CallContext call, DocumentKey key, LiveState live, ImmutableDictionary<PinKey, long> pins, string action, string message)
    {
        var next = live.Release.Next(Time) with { Pins = pins };
        return new ReleaseChange("pin", call.Caller.Name, next)
        {
            Message = message,
            Persist = session => Record(session, call, Entry(call, action, key.ToString()) with { Release = next.Number, Detail = message }),
        };
    }

    private Task<DocumentState> KnowAsync(DocumentKey key, CancellationToken cancellationToken) =>
        IsFollowed(Lane.Live, key)
            ? Lane.KnowAsync(key, IsListed(key), cancellationToken)
            : throw new LockstepException(ErrorCode.NotFound, $"'{key.Label}' is no branch or tag of the repository");

    private bool IsKnown(DocumentKey key) => IsListed(key) || Lane.Live.Documents.ContainsKey(key);

    private bool IsListed(DocumentKey key) =>
        key.Label is null && Options.Known.Any(k => k.Service == key.Service && k.Environment == key.Environment);

    /// <summary>The key a document is known by; the tracked branch's name as label is the same as none.</summary>
    /// <exception cref="LockstepException">bad-request.</exception>
    public DocumentKey Canonical(DocumentKey key)
    {
        if (!NameRules.IsName(key.Service)) throw new LockstepException(ErrorCode.BadRequest, $"a service's name has {NameRules.Words}");
        if (!NameRules.IsEnvironmentList(key.Environment))
            throw new LockstepException(ErrorCode.BadRequest, $"an environment's name has {NameRules.Words}; several, up to {NameRules.MaxEnvironments}, are joined by ','");
        if (key.Label is { Length: 0 or > 255 }) throw new LockstepException(ErrorCode.BadRequest, "'label' must have 1 to 255 characters");
        key = key with { Label = LabelOf(key.Label) };
        return key.Label == TrackedBranch ? key with { Label = null } : key;
    }

    /// <summary>A label as it is written in a request: as in Spring, <c>(_)</c> stands for '/', for clients that can't write that.</summary>
    public static string? LabelOf(string? label) => label?.Replace("(_)", "/", StringComparison.Ordinal);

    private DocumentKey Pinnable(DocumentKey key)
    {
        key = Canonical(key);
        return key.Label is null ? key : throw new LockstepException(ErrorCode.BadRequest, "only documents of the tracked branch can be pinned: leave 'label' out");
    }

    private long Existing(long release)
    {
        var newest = Lane.Live.Release.Number;
        if (release < 1) throw new LockstepException(ErrorCode.BadRequest, "a release is a number from 1");
        return release <= newest ? release : throw new LockstepException(ErrorCode.NotFound, $"release {release} does not exist; the newest is {newest}");
    }

    private static bool Matches(string etags, string etag)
    {
        foreach (var part in etags.AsSpan().Split(','))
        {
            var candidate = etags.AsSpan(part).Trim();
            if (candidate is "*" || candidate.SequenceEqual(etag) || (etag.StartsWith("W/", StringComparison.Ordinal) && candidate.SequenceEqual(etag.AsSpan(2)))) return true;
        }
        return false;
    }

    private static LockstepException DoesNotResolve(string what, ImmutableArray<ConfigError> errors) =>
        new(ErrorCode.InvalidConfig, $"{what} does not resolve: {Resolution.ReasonOf(errors)}") { Errors = [.. errors.Take(100).Select(e => e.ToProblem())] };

    private static LockstepException NotKnown(DocumentKey key, string where) =>
        new(ErrorCode.NotFound, $"no file of the repository is named after the service '{key.Service}' {where}");
}
