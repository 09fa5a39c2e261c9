using Lockstep.Config;
using Lockstep.Secrets;

namespace Lockstep.Releases;

/// <summary>
/// From what changed to the documents it can change: paths (existing or not) and directory patterns per label, and secrets. Only the release lane uses
/// it. It may name a document that turns out the same; it never misses one.
/// </summary>
internal sealed class DependencyIndex
{
    private readonly Dictionary<DocumentKey, Resolution> _entries = [];
    private readonly Dictionary<(string? Label, string Path), HashSet<DocumentKey>> _paths = [];
    private readonly Dictionary<(string? Label, string Pattern), HashSet<DocumentKey>> _patterns = [];
    private readonly Dictionary<SecretId, HashSet<DocumentKey>> _secrets = [];

    public void Set(Resolution resolution)
    {
        if (_entries.TryGetValue(resolution.Key, out var old) && old.Pinned == resolution.Pinned
            && ReferenceEquals(old.Files, resolution.Files) && old.SecretIds.AsSpan().SequenceEqual(resolution.SecretIds.AsSpan()))
        {
            _entries[resolution.Key] = resolution;
            return;
        }
        Remove(resolution.Key);
        _entries.Add(resolution.Key, resolution);
        ForEach(resolution, add: true);
    }

    public void Remove(DocumentKey key)
    {
        if (_entries.Remove(key, out var old)) ForEach(old, add: false);
    }

    public void AddPathDependents(string? label, IEnumerable<string> changedPaths, HashSet<DocumentKey> documents)
    {
        var patterns = _patterns.Where(p => p.Key.Label == label).Select(p => (p.Key.Pattern, Beginning: DirectoryPattern.Beginning(p.Key.Pattern), Dependents: p.Value)).ToList();
        // Many paths may differ by their directories alone: each directory is matched once, and each name looked up once for each pattern.
        var matching = new Dictionary<string, List<(string Pattern, HashSet<DocumentKey> Dependents)>>(StringComparer.Ordinal);
        var done = new HashSet<(string Pattern, string Name)>();
        foreach (var path in changedPaths)
        {
            if (_paths.TryGetValue((label, path), out var keys)) documents.UnionWith(keys);
            if (patterns.Count == 0) continue;
            var slash = path.LastIndexOf('/');
            var (directory, name) = (path[..Math.Max(0, slash)], path[(slash + 1)..]);
            // The root is always searched: who looks for a name anywhere looks for it there too.
            if (!_paths.TryGetValue((label, name), out var seekers)) continue;
            if (!matching.TryGetValue(directory, out var found))
            {
                found = [.. patterns.Where(p => directory.StartsWith(p.Beginning, StringComparison.Ordinal) && DirectoryPattern.IsMatch(p.Pattern, directory)).Select(p => (p.Pattern, p.Dependents))];
                matching.Add(directory, found);
            }
            foreach (var (pattern, dependents) in found)
                if (done.Add((pattern, name))) documents.UnionWith(seekers.Count < dependents.Count ? seekers.Where(dependents.Contains) : dependents.Where(seekers.Contains));
        }
    }

    public void AddSecretDependents(SecretId secret, HashSet<DocumentKey> documents)
    {
        if (_secrets.TryGetValue(secret, out var keys)) documents.UnionWith(keys);
    }

    private void ForEach(Resolution resolution, bool add)
    {
        var key = resolution.Key;
        foreach (var secret in resolution.SecretIds) Update(_secrets, secret, key, add);
        // A pinned document follows the pin, not the branch; its secrets still matter because they can be purged.
        if (resolution.Pinned is not null) return;
        foreach (var path in resolution.Files.Paths) Update(_paths, (key.Label, path), key, add);
        foreach (var pattern in resolution.Files.DirectoryPatterns) Update(_patterns, (key.Label, pattern), key, add);
    }

    private static void Update<TKey>(Dictionary<TKey, HashSet<DocumentKey>> map, TKey key, DocumentKey document, bool add)
        where TKey : notnull
    {
        if (add)
        {
            if (!map.TryGetValue(key, out var set)) map.Add(key, set = []);
            set.Add(document);
        }
        else if (map.TryGetValue(key, out var set) && set.Remove(document) && set.Count == 0)
        {
            map.Remove(key);
        }
    }
}
