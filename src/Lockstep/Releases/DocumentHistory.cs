using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Data.Common;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Storage;
using Microsoft.Extensions.Caching.Memory;

namespace Lockstep.Releases;

/// <summary>The past: documents at earlier releases, and which release changed what.</summary>
internal sealed class DocumentHistory(Database database, ReleaseEvaluator evaluator, string branch) : IDisposable
{
    /// <summary>The most entries one page may have.</summary>
    public const int MaxPage = 1_000;

    private const long MaxBytes = 64L * 1024 * 1024;

    private readonly MemoryCache _documents = new(new MemoryCacheOptions { SizeLimit = MaxBytes });
    private readonly ConcurrentDictionary<(DocumentKey Key, long Release, int Purges), Lazy<Task<Document>>> _flights = new();
    private int _purges;

    /// <summary>The document at release <paramref name="release"/>, which must exist, with the secrets of it that still live in <paramref name="now"/>.</summary>
    /// <exception cref="LockstepException">not-found when the label named nothing then; invalid-config when it does not resolve.</exception>
    public async Task<Document> AtAsync(DocumentKey key, long release, ReleaseState now, CancellationToken cancellationToken)
    {
        var slot = (key, release, Volatile.Read(ref _purges));
        if (_documents.TryGetValue(slot, out Document? document) && Lives(document!, now)) return document!;
        // Equal requests share one resolution; it belongs to none of them.
        var flight = _flights.GetOrAdd(slot, s => new Lazy<Task<Document>>(() => Task.Run(() => ResolveAsync(s, now))));
        document = await flight.Value.WaitAsync(cancellationToken);
        // It may have begun before one of its secrets was deleted; who asks afterwards does not get it from there.
        return Lives(document, now) ? document : await ResolveAsync(slot, now);
    }

    /// <summary>The document at the commit that its label names, with the secrets that are active in <paramref name="now"/>.</summary>
    /// <exception cref="LockstepException">not-found when there is no such commit; invalid-config when the document does not resolve there.</exception>
    public async Task<Document> AtCommitAsync(DocumentKey key, ReleaseState now, CancellationToken cancellationToken)
    {
        // By its full id: an abbreviation is another name of the same document.
        var commit = await evaluator.CommitAsync(key.Label!, now, cancellationToken);
        return await AtAsync(key with { Label = commit }, now.Number, now, cancellationToken);
    }

    /// <summary>Forgets every past document because a secret was destroyed, also those on their way. Call it when the secret can't be read any more.</summary>
    public void ForgetAll()
    {
        Interlocked.Increment(ref _purges);
        _documents.Clear();
    }

    /// <summary>The releases before <paramref name="before"/> that changed a document, newest first.</summary>
    public Task<List<ReleaseRecord>> OfDocumentAsync(DocumentKey key, long before, int limit, CancellationToken cancellationToken) =>
        database.ReadAsync(s => s.Query(
            $"""
            SELECT {Columns}, d.etag, d.keys, d.reason FROM document_changes d JOIN journal j ON j.release = d.release
            WHERE d.service = @service AND d.environment = @environment AND d.label = @label AND d.release < @before AND d.keys IS NOT NULL
            ORDER BY d.release DESC LIMIT @limit
            """, r => Read(r) with { Changes = ReleaseChanges.Of(ReadChange(r, key, 6).Change) },
            ("branch", GitNames.BranchRef(branch)), ("service", key.Service), ("environment", key.Environment), ("label", key.Label ?? ""),
            ("before", before), ("limit", (long)limit)), cancellationToken);

    /// <summary>All releases before <paramref name="before"/>, newest first, with the known documents each changed, as far as <paramref name="sees"/> accepts them.</summary>
    /// <param name="before">Releases below this number.</param>
    /// <param name="limit">How many releases.</param>
    /// <param name="sees">Which documents to count and name.</param>
    /// <param name="named">How many documents of a release to name at the most; the others are counted.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<List<ReleaseRecord>> AllAsync(long before, int limit, Func<DocumentKey, bool> sees, int named, CancellationToken cancellationToken) =>
        database.ReadAsync(s => s
            .Query($"SELECT {Columns} FROM journal j WHERE j.release < @before ORDER BY j.release DESC LIMIT @limit",
                Read, ("branch", GitNames.BranchRef(branch)), ("before", before), ("limit", (long)limit))
            .ConvertAll(release => release with { Changes = ChangesOf(s, release.Number, sees, named) }), cancellationToken);

    // One release at a time, and what is not kept is forgotten row by row: thousands of documents can change at each.
    private static ReleaseChanges ChangesOf(SqlSession session, long release, Func<DocumentKey, bool> sees, int named)
    {
        var changes = new ReleaseChanges(named);
        (DocumentChange Change, string Keys)? last = null;
        session.Query(
            """
            SELECT service, environment, label, etag, keys, reason FROM document_changes
            WHERE release = @release AND keys IS NOT NULL ORDER BY service, environment, label
            """,
            r =>
            {
                var key = new DocumentKey(r.GetString(0), r.GetString(1), r.GetString(2) is { Length: > 0 } label ? label : null);
                if (!sees(key)) return false;
                last = ReadChange(r, key, 3, last);
                changes.Add(last.Value.Change);
                return true;
            },
            ("release", release));
        return changes;
    }

    public void Dispose() => _documents.Dispose();

    private static bool Lives(Document document, ReleaseState now) => document.Resolution.SecretIds.All(now.Active.ContainsKey);

    private async Task<Document> ResolveAsync((DocumentKey Key, long Release, int Purges) slot, ReleaseState now)
    {
        try
        {
            var resolution = await evaluator.ResolvePastAsync(slot.Key, slot.Release, now, CancellationToken.None);
            var document = evaluator.First(resolution, new DocumentUsage(0)).Current ?? throw Invalid(resolution, slot.Release);
            _documents.Set(slot, document, new MemoryCacheEntryOptions { Size = 1024 + (3L * document.Full.Body.Length) });
            return document;
        }
        finally
        {
            _flights.TryRemove(slot, out _);
        }
    }

    private const string Columns =
        "j.release, j.at, j.actor, j.kind, j.message, " +
        "(SELECT f.commit_id FROM refs f WHERE f.name = @branch AND f.release <= j.release ORDER BY f.release DESC LIMIT 1) AS branch_commit";

    private static ReleaseRecord Read(DbDataReader r) => new(
        r.GetInt64(0), DateTimeOffset.FromUnixTimeMilliseconds(r.GetInt64(1)), r.GetString(2), r.GetString(3),
        r.IsDBNull(4) ? "" : r.GetString(4), r.IsDBNull(5) ? null : r.GetString(5), new ReleaseChanges(0));

    // From the columns etag, keys, reason. Neighbours often have the same keys, of a file that they share: these are read once.
    private static (DocumentChange Change, string Keys) ReadChange(DbDataReader r, DocumentKey key, int at, (DocumentChange Change, string Keys)? last = null)
    {
        var text = r.GetString(at + 1);
        var keys = last is { } before && before.Keys == text ? before.Change.Keys : KeysOf(text);
        return (new DocumentChange(key, r.IsDBNull(at) ? null : r.GetString(at), keys) { Reason = r.IsDBNull(at + 2) ? null : r.GetString(at + 2) }, text);
    }

    private static ImmutableArray<string> KeysOf(string json) => [.. JsonSerializer.Deserialize(json, ReleaseJson.Default.StringArray)!];

    private static LockstepException Invalid(Resolution resolution, long release) =>
        new(ErrorCode.InvalidConfig, $"{resolution.Key} does not resolve at release {release}: {resolution.Reason}") { Errors = [.. resolution.Errors.Select(e => e.ToProblem())] };
}

/// <summary>One release as the journal has it.</summary>
/// <param name="Commit">Where the tracked branch stood.</param>
internal sealed record ReleaseRecord(
    long Number, DateTimeOffset At, string By, string Kind, string Message, string? Commit, ReleaseChanges Changes);
