using System.Collections.Immutable;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Fleet;
using Lockstep.Releases;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    // Instances that one entry names; more of them make more entries of the same commit.
    private const int MaxInstances = 1000;

    // Addresses of one token's watchers that get an entry each.
    private const int MaxAddresses = 100;

    public required FleetTable Fleet { get; init; }

    /// <summary>Refuses, on the record, a caller who may read no config at all.</summary>
    public ValueTask RequireWatchAsync(CallContext call) => RequireAsync(call, Permission.ConfigRead, Subject.Nothing, "config.watch");

    /// <summary>
    /// Asks <paramref name="foresee"/>, before a release is written, who will be sent which secrets of it. That is put on the record in the release's own
    /// transaction, so that it can be sent as soon as readers see the release. Where the record has to be in more places than the database, nothing is foreseen: each
    /// push is put on the record by itself, and waits for all of them.
    /// </summary>
    public void ForeseePushes(Func<DocumentKey, WatchedDocument, IEnumerable<Disclosure>> foresee) => Lane.Preparing = evaluation =>
    {
        if (Audit.HasSinks) return null;
        var release = evaluation.Live.Release.Number;
        var entries = new List<AuditEntry>();
        foreach (var key in evaluation.Changes.Select(c => c.Key))
            if (Watched(evaluation.Live, key) is { } next) entries.AddRange(foresee(key, next).SelectMany(d => PushEntries(d, key, release)));
        if (entries.Count == 0) return null;
        return session =>
        {
            Audit.Append(session, entries);
            GateMetrics.Disclosures.Add(entries.Sum(e => e.Secrets.Count));
        };
    };

    /// <summary>A known document as it is now, for callers who were allowed to read it when they subscribed; null while it is not known.</summary>
    public WatchedDocument? Watched(DocumentKey key) => Watched(Lane.Live, key);

    private WatchedDocument? Watched(LiveState live, DocumentKey key)
    {
        if (!live.Documents.TryGetValue(key, out var state)) return null;
        state.Usage.LastServedAt = Time.GetUtcNow().ToUnixTimeMilliseconds();
        var head = HeadOf(live, state);
        if (IsTooStale(live)) return new WatchedDocument(head with { Stale = live.Stale }, null);
        if (state.Current is null && head.Stale is null) head = head with { Stale = new Staleness(live.Release.At, state.Resolution.Reason) };
        return new WatchedDocument(head, state.Current);
    }

    /// <summary>Tries to make a document known that somebody watches: one that was not there, or one at a commit, which is kept up to date only for
    /// watchers, as its secrets may change. Null when it is known, else why not.</summary>
    public async Task<ErrorCode?> TryKnowAsync(DocumentKey key, CancellationToken cancellationToken)
    {
        try
        {
            await Lane.KnowAsync(key, IsListed(key), cancellationToken);
            return null;
        }
        catch (LockstepException e)
        {
            return e.Code;
        }
    }

    /// <summary>A document as this caller may see it.</summary>
    public static RenderedDocument ViewOf(Document document, Caller caller) =>
        document.For(caller.Grant, id => caller.Can(Permission.SecretReveal, Subject.Of(id)));

    /// <summary>Puts on the record what is about to be pushed: one entry for all watchers of one token. When it completes, it may be sent.</summary>
    /// <exception cref="LockstepException">unavailable when it can't be recorded, unauthenticated when the token is no longer what it was: nothing may be sent.</exception>
    public Task RecordPushAsync(Disclosure disclosure, DocumentKey key, long release) =>
        // All are handed over before the first await, so that they share one commit.
        Task.WhenAll([.. PushEntries(disclosure, key, release).Select(e => RecordDisclosureAsync(disclosure.Calls[0], e, CancellationToken.None))]);

    private IEnumerable<AuditEntry> PushEntries(Disclosure disclosure, DocumentKey key, long release)
    {
        var entry = Entry(disclosure.Calls[0] with { Trace = null }, "config.watch", key.ToString()) with { Release = release, Secrets = disclosure.Secrets };
        var groups = disclosure.Calls.GroupBy(c => c.Address).ToList();
        // Beyond that many they are entered without.
        IEnumerable<(string? Address, IEnumerable<CallContext> Calls)> entered = groups.Count <= MaxAddresses ? groups.Select(g => (g.Key?.ToString(), g.AsEnumerable())) : [(null, disclosure.Calls)];
        return entered.SelectMany(g => g.Calls.Chunk(MaxInstances).Select(chunk => entry with
        {
            Address = g.Address,
            Instances = [.. chunk.Select(c => c.Instance).OfType<string>().Distinct(StringComparer.Ordinal)],
            Count = chunk.Length,
        }));
    }

    /// <summary>What stands for a watcher in the fleet.</summary>
    public FleetMember MemberFor(CallContext call, DocumentKey key) => new()
    {
        TokenId = call.Caller.TokenId,
        Token = call.Caller.Name,
        Instance = call.Instance,
        Address = call.Address?.ToString(),
        JoinedAt = Time.GetUtcNow(),
        NewestETag = () => Lane.Live.Documents.GetValueOrDefault(key)?.Current is { } document ? ViewOf(document, call.Caller).ETag : null,
    };

    /// <summary>The live instances of a document, and the newest release when they were listed.</summary>
    public async Task<FleetPage> FleetAsync(CallContext call, DocumentKey key, CancellationToken cancellationToken)
    {
        key = Canonical(key);
        await RequireAsync(call, Permission.ConfigRead, key, "fleet.list");
        // Before the members: what they are compared with is this release's document or a newer one.
        var release = NewestRelease;
        await KnowAsync(key, cancellationToken);
        return new FleetPage { Release = release, Items = [.. Fleet.Of(key).Select(m => m.ToInstance())] };
    }
}
