using System.Collections.Immutable;
using Lockstep.Config;
using Lockstep.Config.Git;
using Lockstep.Config.Placeholders;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>Looks at every file that a candidate changes, also at those that no known document uses.</summary>
internal sealed class CandidateFiles(GitReader reader, SourceLoader sources)
{
    private const int MaxListed = 100;
    private const int ReadAtOnce = 16;

    private readonly Lock _lock = new();
    private readonly List<ConfigError> _errors = [];
    private readonly List<ConfigError> _warnings = [];
    private readonly HashSet<string> _paths = new(StringComparer.Ordinal);
    private readonly HashSet<SecretId> _added = [];
    private readonly List<CandidateCommit> _commits = [];
    private int _unlisted;

    /// <summary>Looks at what one ref changes. What is wrong is an error on the tracked branch, and a warning elsewhere: there it is served to those only who ask for it.</summary>
    /// <param name="from">What it is compared with; null: with nothing.</param>
    /// <param name="to">Where the ref stands then.</param>
    /// <param name="label">The branch or tag for messages; null for the tracked branch.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task AddAsync(string? from, string to, string? label, CancellationToken cancellationToken)
    {
        var changes = await reader.ChangesAsync(from, to, cancellationToken);
        _paths.UnionWith(changes.Select(c => c.Path ?? c.Shown));
        foreach (var change in changes) CheckKind(change, label);
        if (changes.Any(c => c.From == GitFileKind.None)) await CheckNamesAsync(changes, to, label, cancellationToken);
        var options = new ParallelOptions { MaxDegreeOfParallelism = ReadAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(changes.Where(c => c.IsConfig), options, (change, ct) => CheckContentAsync(change, label, ct));
    }

    /// <summary>Notes the paths alone in which two commits differ.</summary>
    public async Task AddPathsAsync(string? from, string to, CancellationToken cancellationToken) =>
        _paths.UnionWith((await reader.ChangesAsync(from, to, cancellationToken)).Select(c => c.Path ?? c.Shown));

    /// <summary>Notes the paths and the references to secrets alone that one commit changes.</summary>
    public async Task AddCommitAsync(GitCommitChanges commit, CancellationToken cancellationToken)
    {
        var added = new HashSet<SecretId>();
        foreach (var file in commit.Changes.Where(c => c.IsConfig).GroupBy(c => c.Path!, StringComparer.Ordinal))
        {
            var now = await ReferencesAsync(file.Key, file.First().ToId, cancellationToken);
            foreach (var parent in file.Where(c => now.Count > 0 && c.WasConfig)) now.ExceptWith(await ReferencesAsync(file.Key, parent.FromId, cancellationToken));
            added.UnionWith(now);
        }
        _commits.Add(new CandidateCommit(commit.Commit, commit.Changes.Select(c => c.Path ?? c.Shown).ToHashSet(StringComparer.Ordinal), added));
    }

    public CandidateReport AddTo(CandidateReport report) => report with
    {
        Errors = Sorted(_errors),
        Warnings = Sorted(_warnings),
        Unlisted = _unlisted,
        Paths = _paths,
        AddedSecrets = report.AddedSecrets.Union(_added),
        Commits = [.. _commits],
    };

    private static ImmutableArray<ConfigError> Sorted(List<ConfigError> list) =>
        [.. list.OrderBy(e => e.Location?.File, StringComparer.Ordinal).ThenBy(e => e.Location?.Line)];

    private void CheckKind(GitFileChange change, string? label)
    {
        if (change.To == GitFileKind.Link) Warn(change.Shown, 0, null, "is a symbolic link; links are kept but never followed or served", label);
        if (change.To == GitFileKind.Submodule) Warn(change.Shown, 0, null, "is a submodule; its files are never served", label);
        if (change.Path is null && change.To != GitFileKind.None) Fail(new ConfigError(new(change.Shown, 1), null, "the file's name is not UTF-8; rename it"), label);
    }

    // On a disk that does not tell them apart one would overwrite the other in every clone.
    private async Task CheckNamesAsync(ImmutableArray<GitFileChange> changes, string to, string? label, CancellationToken cancellationToken)
    {
        var added = changes.Where(c => c.From == GitFileKind.None && c.Path is not null).Select(c => c.Path!).ToHashSet(StringComparer.Ordinal);
        var seen = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        var told = new HashSet<string>(StringComparer.Ordinal);
        foreach (var path in await reader.NamesAsync(to, cancellationToken))
        {
            if (path is null) continue;
            for (var end = path.IndexOf('/', StringComparison.Ordinal); ; end = path.IndexOf('/', end + 1))
            {
                var name = end < 0 ? path : path[..end];
                if (!seen.TryAdd(name, name) && seen[name] is var other && other != name && told.Add(name)
                    && added.Any(a => IsAt(a, name) || IsAt(a, other)))
                    Fail(new ConfigError(new(name, 1), null, $"its name differs from '{other}' only in case; rename one of them"), label);
                if (end < 0) break;
            }
        }
    }

    private static bool IsAt(string path, string name) =>
        path.StartsWith(name, StringComparison.Ordinal) && (path.Length == name.Length || path[name.Length] == '/');

    private async ValueTask CheckContentAsync(GitFileChange change, string? label, CancellationToken cancellationToken)
    {
        var file = await sources.FileAsync(change.Path!, change.ToId, cancellationToken);
        if (file.Error is { } error)
        {
            // A parsed file is shared by all paths that hold the same bytes.
            Fail(error with { Location = new SourceLocation(change.Path!, error.Location?.Line ?? 1) }, label);
            return;
        }
        var now = new HashSet<SecretId>();
        SecretReferences.Collect(file, now, (entry, reason) => Warn(change.Path!, entry.Line, entry.Key, reason, label));
        if (now.Count > 0 && change.WasConfig)
            now.ExceptWith(await ReferencesAsync(change.Path!, change.FromId, cancellationToken));
        lock (_lock) _added.UnionWith(now);
    }

    private async Task<HashSet<SecretId>> ReferencesAsync(string path, string blob, CancellationToken cancellationToken)
    {
        var found = new HashSet<SecretId>();
        SecretReferences.Collect(await sources.FileAsync(path, blob, cancellationToken), found, (_, _) => { });
        return found;
    }

    private void Fail(ConfigError error, string? label)
    {
        if (label is null) Keep(_errors, error);
        else Warn(error.Location!.Value.File, error.Location.Value.Line, error.Key, error.Message, label);
    }

    private void Warn(string path, int line, string? key, string message, string? label) =>
        Keep(_warnings, new ConfigError(new SourceLocation(path, Math.Max(1, line)), key, label is null ? message : $"{message} (on {label})"));

    private void Keep(List<ConfigError> list, ConfigError error)
    {
        lock (_lock)
        {
            if (list.Count < MaxListed) list.Add(error);
            else _unlisted++;
        }
    }
}
