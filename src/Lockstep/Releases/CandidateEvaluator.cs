using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>
/// Works out what a change would come to that nobody has made: refs that stand at other commits, secrets at other versions. Changes nothing, and holds no
/// release up: the lane's turn is taken for the look at the dependency index alone. Bounded in time, and in how many run at once.
/// </summary>
internal sealed class CandidateEvaluator(ReleaseLane lane, ReleaseEvaluator evaluator, TimeProvider time) : IDisposable
{
    private const int AtOnce = 2;
    private const int KeysPerDocument = 1_000;
    private const int KeysInAll = 200_000;
    private const int MessagesPerDocument = 100;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    private readonly SemaphoreSlim _slots = new(AtOnce, AtOnce);

    /// <summary>Evaluates a change.</summary>
    /// <param name="reader">Reads the repository's commits, and those that the change names.</param>
    /// <param name="change">From the state it is made on to the state it leads to; asked more than once when releases are made meanwhile.</param>
    /// <param name="commits">Commits on the way there, whose changes are looked at too.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    /// <exception cref="LockstepException">too-large when it takes too long; unavailable when commits or stores can't be read.</exception>
    public async Task<CandidateReport> EvaluateAsync(
        GitReader reader, Func<ReleaseState, ReleaseState> change, ImmutableArray<GitCommitChanges> commits, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_limit, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            await _slots.WaitAsync(both.Token);
            try
            {
                // Away from the caller's thread: nothing in it may wait for the processor's time that this takes.
                return await Task.Run(() => WorkAsync(reader, change, commits, both.Token), both.Token);
            }
            finally
            {
                _slots.Release();
            }
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new LockstepException(ErrorCode.TooLarge, string.Create(CultureInfo.InvariantCulture,
                $"what it changes could not be worked out within {s_limit.TotalSeconds} s; make it in smaller steps"));
        }
    }

    public void Dispose() => _slots.Dispose();

    private async Task<CandidateReport> WorkAsync(
        GitReader reader, Func<ReleaseState, ReleaseState> change, ImmutableArray<GitCommitChanges> commits, CancellationToken cancellationToken)
    {
        var (there, sources) = evaluator.Over(reader);
        using (sources)
        {
            var (live, next, affected) = await lane.PreviewAsync(there, change, cancellationToken);
            var files = new CandidateFiles(reader, sources);
            var tracked = GitNames.BranchRef(next.Shape.Branch);
            var main = live.Release.Refs.GetValueOrDefault(tracked);
            foreach (var name in live.Release.Refs.Keys.Union(next.Refs.Keys, StringComparer.Ordinal).Order(StringComparer.Ordinal))
            {
                var (from, to) = (live.Release.Refs.GetValueOrDefault(name), next.Refs.GetValueOrDefault(name));
                if (from == to) continue;
                // A branch that comes or goes is about what sets it apart from the tracked one.
                if (to is null) await files.AddPathsAsync(main, from!, cancellationToken);
                else await files.AddAsync(from ?? main, to, name == tracked ? null : GitNames.ShortName(name), cancellationToken);
            }
            foreach (var commit in commits) await files.AddCommitAsync(commit, cancellationToken);
            var (documents, secrets) = await EvaluateAsync(there, (live, next), affected, cancellationToken);
            return files.AddTo(new CandidateReport(live, next) { Documents = documents, AddedSecrets = secrets });
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
            secrets.UnionWith(resolution.SecretIds.Except(old.Resolution.SecretIds).Except(old.Current?.Resolution.SecretIds ?? []));
            var changed = ReleaseEvaluator.ChangeOf(key, old, there.Next(old, resolution, live.Release, next));
            if (changed is null && resolution.IsValid) continue;
            var keys = changed?.Keys ?? [];
            var document = new CandidateDocument(key, old.Resolution.IsValid, resolution.IsValid)
            {
                Changes = changed is not null,
                KeyCount = keys.Length,
                Keys = [.. keys.Take(Math.Min(KeysPerDocument, keysLeft))],
                Errors = [.. resolution.Errors.Take(MessagesPerDocument)],
                Warnings = resolution.IsValid ? [.. Warnings(old, resolution).Take(MessagesPerDocument)] : [],
            };
            keysLeft -= document.Keys.Length;
            documents.Add(document);
        }
        return (documents.ToImmutable(), secrets.ToImmutable());
    }

    private static IEnumerable<ConfigError> Warnings(DocumentState old, Resolution next)
    {
        var before = old.Resolution.Warnings.Select(w => (w.Key, w.Message)).ToHashSet();
        foreach (var warning in next.Warnings)
            if (!before.Contains((warning.Key, warning.Message))) yield return warning;
        if (old.Current?.Resolution is not { } last) yield break;
        var typed = last.Values.Where(v => KindOf(v.Value, last) != ScalarKind.String).ToDictionary(v => v.Key, v => v.Value, StringComparer.Ordinal);
        foreach (var (key, value, location) in next.Values)
        {
            if (!typed.TryGetValue(key, out var was) || KindOf(value, next) != ScalarKind.String) continue;
            var what = KindOf(was, last) == ScalarKind.Number ? "number" : "boolean";
            var shown = was is ConfigValue.Scalar scalar ? $" {scalar.Value.Text}" : "";
            yield return new ConfigError(location, key, $"was the {what}{shown} and turns into text; programs that expect a {what} may fail");
        }
    }

    private static ScalarKind KindOf(ConfigValue value, Resolution resolution) => value switch
    {
        ConfigValue.Scalar scalar => scalar.Value.Kind,
        ConfigValue.Secret secret => resolution.Secrets[secret.Ref].Value.KindOf(secret.Ref.Field) switch
        {
            JsonValueKind.Number => ScalarKind.Number,
            JsonValueKind.True or JsonValueKind.False => ScalarKind.Boolean,
            _ => ScalarKind.String,
        },
        _ => ScalarKind.String,
    };
}
