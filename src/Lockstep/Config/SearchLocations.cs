using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>The directories searched for one document, lowest precedence first: the root, then the configured search paths.</summary>
/// <param name="Directories">Repository directories without a slash at the end; the root is the empty string. Those of wildcards are
/// only the ones that hold a file the document looks for.</param>
/// <param name="Patterns">The wildcard search paths with their placeholders filled in.</param>
/// <param name="Errors">Search paths that can't be used for this document.</param>
internal sealed record SearchLocations(ImmutableArray<string> Directories, ImmutableArray<string> Patterns, ImmutableArray<string> Errors)
{
    /// <summary>
    /// <c>{application}</c>, <c>{profile}</c> (one location for each environment) and <c>{label}</c> are filled in; a label such as <c>feature/x</c> stands for
    /// two path segments. Wildcards count only where the setting has them, never from a filled-in name.
    /// </summary>
    public static SearchLocations Create(DocumentKey key, string label, IReadOnlyList<string> searchPaths, IReadOnlyList<string> fileNames, ConfigTree tree) =>
        Create(key, label, searchPaths, pattern => Matching(pattern, fileNames, tree));

    /// <param name="key">What is looked for.</param>
    /// <param name="label">What <c>{label}</c> stands for.</param>
    /// <param name="searchPaths">As the settings have them.</param>
    /// <param name="matching">The directories that a pattern stands for, in their order.</param>
    public static SearchLocations Create(
        DocumentKey key, string label, IReadOnlyList<string> searchPaths, Func<string, IEnumerable<string>> matching)
    {
        var directories = new List<string> { "" };
        var seen = new HashSet<string>(StringComparer.Ordinal) { "" };
        var patterns = ImmutableArray.CreateBuilder<string>();
        var errors = ImmutableArray.CreateBuilder<string>();
        foreach (var searchPath in searchPaths)
        {
            foreach (var (environment, service) in key.Environments.SelectMany(e => key.Services, (e, s) => (e, s)))
            {
                var path = Fill(searchPath, service, environment, label);
                if (path is null)
                {
                    errors.Add($"the search path '{searchPath}' does not lead to a directory of the repository for {key}: no absolute path, '.', '..' or empty segment, and no wildcard in a name");
                    continue;
                }
                if (!seen.Add(path)) continue;
                if (!DirectoryPattern.IsPattern(path))
                {
                    directories.Add(path);
                    continue;
                }
                patterns.Add(path);
                directories.AddRange(matching(path).Where(seen.Add));
            }
        }
        if (directories.Count > ConfigLimits.SearchLocations)
        {
            errors.Add($"the search paths come to {directories.Count} directories for {key}; the limit is {ConfigLimits.SearchLocations}");
            directories.RemoveRange(ConfigLimits.SearchLocations, directories.Count - ConfigLimits.SearchLocations);
        }
        return new SearchLocations([.. directories], patterns.ToImmutable(), [.. errors.Distinct(StringComparer.Ordinal)]);
    }

    private static IEnumerable<string> Matching(string pattern, IReadOnlyList<string> fileNames, ConfigTree tree) =>
        fileNames.SelectMany(tree.DirectoriesWith).Distinct(StringComparer.Ordinal).Where(d => DirectoryPattern.IsMatch(pattern, d)).Order(StringComparer.Ordinal);

    private static string? Fill(string searchPath, string service, string environment, string label)
    {
        var trimmed = searchPath.EndsWith('/') ? searchPath[..^1] : searchPath;
        var names = new List<string>();
        if (trimmed.Contains("{application}", StringComparison.Ordinal)) names.Add(service);
        if (trimmed.Contains("{profile}", StringComparison.Ordinal)) names.Add(environment);
        if (trimmed.Contains("{label}", StringComparison.Ordinal)) names.Add(label);
        if (names.Any(DirectoryPattern.IsPattern)) return null;
        var path = trimmed
            .Replace("{application}", service, StringComparison.Ordinal)
            .Replace("{profile}", environment, StringComparison.Ordinal)
            .Replace("{label}", label, StringComparison.Ordinal);
        return path.Split('/').Any(s => s is "" or "." or "..") || path.AsSpan().ContainsAny('\\', '\0') ? null : path;
    }
}
