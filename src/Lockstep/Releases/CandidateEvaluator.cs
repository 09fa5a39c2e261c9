using System.Collections.Immutable;
using System.Globalization;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>
/// Works out what a change would come to that nobody has made: refs that stand at other commits, secrets at other versions. Changes nothing, and holds no
/// release up: the lane's turn is taken for the look at the dependency index alone. Bounded in time, and in how many run at once: who evaluates has a slot.
/// </summary>
internal sealed class CandidateEvaluator(ReleaseLane lane, ReleaseEvaluator evaluator, TimeProvider time) : IDisposable
{
    private const int AtOnce = 2;
    private const int KeysPerDocument = 1_000;
    private const int KeysInAll = 200_000;
    private const int MessagesPerDocument = 100;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    // Apart, so that those who only ask don't hold up those who write.
    private readonly SemaphoreSlim _plans = new(AtOnce, AtOnce);
    private readonly SemaphoreSlim _writes = new(AtOnce, AtOnce);

    /// <summary>A slot for a plan, to be taken before anything is done for it.</summary>
    /// <exception cref="LockstepException">unavailable when none comes free soon.</exception>
    public async Task<CandidateSlot> PlanSlotAsync(CancellationToken cancellationToken)
    {
        using var patience = new CancellationTokenSource(s_patience, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        try
        {
            await _plans.WaitAsync(both.Token);
            return new CandidateSlot(_plans);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"{AtOnce} plans are being worked out already; try again later") { RetryAfter = s_patience };
        }
    }

    /// <summary>A slot for a push or a commit, as soon as there is one.</summary>
    public async Task<CandidateSlot> WriteSlotAsync(CancellationToken cancellationToken)
    {
        await _writes.WaitAsync(cancellationToken);
        return new CandidateSlot(_writes);
    }

    /// <summary>Evaluates a change. The caller has a slot.</summary>
    /// <param name="reader">Reads the repository's commits, and those that the change names.</param>
    /// <param name="change">From the state it is made on to the state it leads to; asked more than once when releases are made meanwhile.</param>
    /// <param name="commits">Commits on the way there, whose changes are looked at too.</param>
    /// <param name="mayDecrypt">The documents whose encrypted values the one who asks may have decrypted; in others only those that are in their files already are.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="LockstepException">too-large when it takes too long; unavailable when commits or stores can't be read.</exception>
    public async Task<CandidateReport> EvaluateAsync(
        GitReader reader, Func<ReleaseState, ReleaseState> change, ImmutableArray<GitNewCommit> commits, Func<DocumentKey, bool> mayDecrypt,
        CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_limit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            // Away from the caller's thread: nothing in it may wait for the processor's time that this takes.
            return await Task.Run(() => WorkAsync(reader, change, commits, mayDecrypt, both.Token), both.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new LockstepException(ErrorCode.TooLarge, string.Create(CultureInfo.InvariantCulture,
                $"what it changes could not be worked out within {s_limit.TotalSeconds} s; make it in smaller steps"));
        }
    }

    public void Dispose()
    {
        _plans.Dispose();
        _writes.Dispose();
    }

    private async Task<CandidateReport> WorkAsync(
        GitReader reader, Func<ReleaseState, ReleaseState> change, ImmutableArray<GitNewCommit> commits, Func<DocumentKey, bool> mayDecrypt,
        CancellationToken cancellationToken)
    {
        var (there, sources) = evaluator.Over(
            reader, async (key, commit, ct) => mayDecrypt(key) ? null : await evaluator.CipherTextsAsync(key, lane.Live, commit, ct));
        using (sources)
        {
            var files = new CandidateFiles(reader, sources);
            var now = lane.Live.Release;
            foreach (var (_, from, to, _) in Moves(now, change(now))) await files.CompareAsync(from, to, cancellationToken);
            var (live, next, affected) = await lane.PreviewAsync(there, change, cancellationToken);
            foreach (var (label, from, to, isGone) in Moves(live.Release, next))
            {
                if (isGone) await files.AddPathsAsync(from, to, cancellationToken);
                else await files.AddAsync(from, to, label, cancellationToken);
            }
            foreach (var commit in commits) await files.AddCommitAsync(commit, cancellationToken);
            var (documents, secrets) = await EvaluateAsync(there, (live, next), affected, cancellationToken);
            return files.AddTo(new CandidateReport(live, next) { Documents = documents, AddedSecrets = secrets });
        }
    }

    // The refs that differ, with the commits to compare; the label of the tracked branch is null.
    private static IEnumerable<(string? Label, string? From, string To, bool IsGone)> Moves(ReleaseState live, ReleaseState next)
    {
        var tracked = GitNames.BranchRef(next.Shape.Branch);
        var main = live.Refs.GetValueOrDefault(tracked);
        foreach (var name in live.Refs.Keys.Union(next.Refs.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            var (from, to) = (live.Refs.GetValueOrDefault(name), next.Refs.GetValueOrDefault(name));
            // A branch that comes or goes is about what sets it apart from the tracked one.
            if (from != to) yield return (name == tracked ? null : GitNames.ShortName(name), to is null ? main : from ?? main, to ?? from!, to is null);
        }
    }

    private static async Task<(ImmutableArray<CandidateDocument> Documents, ImmutableSortedSet<SecretId> Secrets)> EvaluateAsync(
        ReleaseEvaluator there, (LiveState Live, ReleaseState Next) states, HashSet<DocumentKey> affected, CancellationToken cancellationToken)
    {
        var (live, next) = states;
        var documents = ImmutableArray.CreateBuilder<CandidateDocument>();
        var secrets = ImmutableSortedSet.CreateBuilder<SecretId>();
        var keysLeft = KeysInAll;
        foreach (var key in affected.OrderBy(k => k.ToString(), StringComparer.Ordinal))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (!live.Documents.TryGetValue(key, out var old)) continue;
            var resolution = await there.ResolveAsync(key, next, next, cancellationToken);
            secrets.UnionWith(resolution.References.Except(old.Resolution.References).Except(old.Current?.Resolution.References ?? []).Select(r => r.Id));
            var changed = ChangeOf(key, old, there.Next(old, resolution, live.Release, next));
            if (changed is null && resolution.IsValid) continue;
            var keys = changed?.Keys ?? [];
            var document = new CandidateDocument(key, old.Resolution.IsValid, resolution.IsValid)
            {
                Changes = changed is not null,
                Keys = [.. keys.Take(Math.Min(KeysPerDocument, keysLeft))],
                Errors = [.. resolution.Errors.Take(MessagesPerDocument)],
                Warnings = resolution.IsValid ? [.. Warnings(old, resolution).Take(MessagesPerDocument)] : [],
            };
            keysLeft -= document.Keys.Length;
            documents.Add(document);
        }
        return (documents.ToImmutable(), secrets.ToImmutable());
    }

    // What is written otherwise is a change, also when its readers would see the same bytes: else text in the place of a secret would tell whether it is the secret.
    private static DocumentChange? ChangeOf(DocumentKey key, DocumentState old, DocumentState next) =>
        ReleaseEvaluator.ChangeOf(key, old, next)
        ?? (old.Resolution.IsValid && next.Resolution.IsValid && DocumentDiff.Between(old.Resolution, next.Resolution).Keys.ToImmutableArray() is { IsEmpty: false } keys
            ? new DocumentChange(key, next.Current!.Full.ETag, keys)
            : null);

    private static IEnumerable<ConfigError> Warnings(DocumentState old, Resolution next)
    {
        var before = old.Resolution.Warnings.Select(w => (w.Key, w.Message)).ToHashSet();
        foreach (var warning in next.Warnings)
            if (!before.Contains((warning.Key, warning.Message))) yield return warning;
        if (old.Current?.Resolution is not { } last) yield break;
        var typed = last.Values.Where(v => KindOf(v.Value, last) != ScalarKind.String).ToDictionary(v => v.Key, v => v.Value, StringComparer.Ordinal);
        foreach (var (key, value, location) in next.Values)
        {
            if (!typed.TryGetValue(key, out var was) || !MayTell(was, value, old.Resolution) || KindOf(value, next) != ScalarKind.String) continue;
            var what = KindOf(was, last) == ScalarKind.Number ? "number" : "boolean";
            var shown = was is ConfigValue.Scalar scalar ? $" {scalar.Value.Text}" : "";
            yield return new ConfigError(location, key, $"was the {what}{shown} and turns into text; programs that expect a {what} may fail");
        }
    }

    // Whether a secret is a number is told to those alone who had to show that they may know of it: for versions that are planned, and references that are added.
    private static bool MayTell(ConfigValue was, ConfigValue value, Resolution before) => (was, value) switch
    {
        (ConfigValue.Secret from, ConfigValue.Secret to) => from.Ref == to.Ref,
        (ConfigValue.Secret, _) => false,
        (_, ConfigValue.Secret to) => !before.References.Contains(to.Ref),
        _ => true,
    };

    private static ScalarKind KindOf(ConfigValue value, Resolution resolution) => value switch
    {
        ConfigValue.Scalar scalar => scalar.Value.Kind,
        ConfigValue.Secret secret => resolution.Secrets[secret.Ref].KindOf(secret.Ref.Field),
        _ => ScalarKind.String,
    };
}

/// <summary>The right to work out a candidate, until it is disposed of.</summary>
internal readonly struct CandidateSlot(SemaphoreSlim slots) : IDisposable
{
    public void Dispose() => slots.Release();
}
