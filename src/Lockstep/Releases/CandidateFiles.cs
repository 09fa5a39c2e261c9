using System.Collections.Immutable;
using Lockstep.Client;
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

    private readonly GitTreeDiff _diff = new(reader.Objects);
    private readonly GitTreeDiff _commitDiff = new(reader.Objects);
    private readonly Dictionary<(string? From, string To), GitChanges> _compared = [];
    private readonly Lock _lock = new();
    private readonly List<ConfigError> _errors = [];
    private readonly List<ConfigError> _warnings = [];
    private readonly HashSet<string> _paths = new(StringComparer.Ordinal);
    private readonly HashSet<SecretId> _added = [];
    private readonly List<CandidateCommit> _commits = [];
    private int _unlisted;

    /// <summary>
    /// Compares two commits, once. To be called before anything else is made of a candidate's trees: what is too much, in all, is refused here.
    /// </summary>
    /// <exception cref="LockstepException">too-large.</exception>
    public async Task<GitChanges> CompareAsync(string? from, string to, CancellationToken cancellationToken)
    {
        if (!_compared.TryGetValue((from, to), out var changes))
            _compared.Add((from, to), changes = await _diff.ReadAsync(from, to, cancellationToken));
        return changes;
    }

    /// <summary>Looks at what one ref changes. What is wrong is an error on the tracked branch, and a warning elsewhere: there it is served to those only who ask for it.</summary>
    /// <param name="from">What it is compared with; null: with nothing.</param>
    /// <param name="to">Where the ref stands then.</param>
    /// <param name="label">The branch or tag for messages; null for the tracked branch.</param>
    /// <param name="cancellationToken">Ends the work.</param>
    public async Task AddAsync(string? from, string to, string? label, CancellationToken cancellationToken)
    {
        await AddPathsAsync(from, to, cancellationToken);
        var changes = await CompareAsync(from, to, cancellationToken);
        foreach (var change in changes.Files) CheckKind(change, label);
        foreach (var (path, other) in changes.Clashes)
            Fail(new ConfigError(new(path, 1), null, $"its name differs from '{other}' only in case; rename one of them"), label);
        var options = new ParallelOptions { MaxDegreeOfParallelism = ReadAtOnce, CancellationToken = cancellationToken };
        await Parallel.ForEachAsync(changes.Files.Where(c => c is { New.Kind: GitFileKind.File, Path: not null }), options, (change, ct) => GuardContentAsync(change, label, ct));
    }

    /// <summary>Notes the paths alone in which two commits differ.</summary>
    public async Task AddPathsAsync(string? from, string to, CancellationToken cancellationToken) =>
        _paths.UnionWith((await CompareAsync(from, to, cancellationToken)).Files.Select(c => c.Path ?? c.Shown));

    /// <summary>Notes the paths and the references to secrets alone that one commit changes; of a merge those that are as in none of its parents.</summary>
    public async Task AddCommitAsync(GitNewCommit commit, CancellationToken cancellationToken)
    {
        var sides = new List<GitChanges>();
        foreach (var parent in commit.Parents.DefaultIfEmpty()) sides.Add(await _commitDiff.ReadAsync(parent, commit.Id, cancellationToken));
        var (paths, added) = (new HashSet<string>(StringComparer.Ordinal), new HashSet<SecretId>());
        foreach (var file in sides.SelectMany((side, number) => side.Files.Select(f => (Side: number, File: f))).GroupBy(f => f.File.Text, f => f, StringComparer.Ordinal))
        {
            if (file.Select(f => f.Side).Distinct().Count() < sides.Count) continue;
            var change = file.First().File;
            paths.Add(change.Path ?? change.Shown);
            if (change is not { New.Kind: GitFileKind.File, Path: not null }) continue;
            var now = await AllReferencesAsync(change, c => c.New.Id, cancellationToken);
            foreach (var (_, parent) in file.Where(f => now.Count > 0 && f.File.Old.Kind == GitFileKind.File)) now.ExceptWith(await AllReferencesAsync(parent, c => c.Old.Id, cancellationToken));
            added.UnionWith(now.Select(r => r.Id));
        }
        _commits.Add(new CandidateCommit(commit.Id, paths, added));
    }

    // As a source of documents and as text.
    private async Task<HashSet<SecretRef>> AllReferencesAsync(GitFileChange change, Func<GitFileChange, string> blob, CancellationToken cancellationToken)
    {
        var found = await TextReferencesAsync(blob(change), cancellationToken);
        if (ConfigTree.IsConfigFile(change.Path!)) found.UnionWith(await ReferencesAsync(change.Path!, blob(change), cancellationToken));
        return found;
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
        if (change.New.Kind == GitFileKind.Link) Warn(change.Shown, 0, null, "is a symbolic link; links are kept but never followed or served", label);
        if (change.New.Kind == GitFileKind.Submodule) Warn(change.Shown, 0, null, "is a submodule; its files are never served", label);
        if (change.Path is null && change.New.Kind != GitFileKind.None) Fail(new ConfigError(new(change.Shown, 1), null, "the file's name is not UTF-8; rename it"), label);
    }

    private async ValueTask GuardContentAsync(GitFileChange change, string? label, CancellationToken cancellationToken)
    {
        try
        {
            if (change.IsConfig) await CheckContentAsync(change, label, cancellationToken);
            var added = await AddedTextAsync(change, cancellationToken);
            lock (_lock) _added.UnionWith(added.Select(r => r.Id));
        }
        catch (Exception e) when (e is not (LockstepException or OperationCanceledException))
        {
            // A defect that one file meets is told with the others.
            Fail(new ConfigError(new(change.Path!, 1), null, $"an unexpected failure ({e.GetType().Name}); please report it with the file"), label);
        }
    }

    private async ValueTask CheckContentAsync(GitFileChange change, string? label, CancellationToken cancellationToken)
    {
        var file = await sources.FileAsync(change.Path!, change.New.Id, cancellationToken);
        if (file.Error is { } error)
        {
            // A parsed file is shared by all paths that hold the same bytes.
            Fail(error with { Location = new SourceLocation(change.Path!, error.Location?.Line ?? 1) }, label);
            return;
        }
        var now = new HashSet<SecretRef>();
        SecretReferences.Collect(file, now, (entry, reason) => Warn(change.Path!, entry.Line, entry.Key, reason, label));
        if (now.Count > 0 && change.WasConfig)
            now.ExceptWith(await ReferencesAsync(change.Path!, change.Old.Id, cancellationToken));
        lock (_lock) _added.UnionWith(now.Select(r => r.Id));
    }

    private async Task<HashSet<SecretRef>> ReferencesAsync(string path, string blob, CancellationToken cancellationToken)
    {
        var found = new HashSet<SecretRef>();
        SecretReferences.Collect(await sources.FileAsync(path, blob, cancellationToken), found, (_, _) => { });
        return found;
    }

    // Every file is served as text too, with its references filled in, comments among them.
    private async Task<HashSet<SecretRef>> AddedTextAsync(GitFileChange change, CancellationToken cancellationToken)
    {
        var now = await TextReferencesAsync(change.New.Id, cancellationToken);
        if (now.Count > 0 && change.Old.Kind == GitFileKind.File) now.ExceptWith(await TextReferencesAsync(change.Old.Id, cancellationToken));
        return now;
    }

    private async Task<HashSet<SecretRef>> TextReferencesAsync(string blob, CancellationToken cancellationToken)
    {
        var found = new HashSet<SecretRef>();
        // What is larger is not served.
        var content = await reader.Objects.ReadAsync(blob, ConfigLimits.FileBytes, cancellationToken);
        if (content.Status == GitBlobStatus.Damaged) throw new LockstepException(ErrorCode.Unavailable, "a file can't be read from the repository; see git fsck");
        foreach (var text in FileText.Readings(content.Content)) SecretReferences.Collect(text, found);
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
