using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>A file that applies to a document.</summary>
internal readonly record struct PlannedFile(string Path, string BlobId);

/// <summary>Which files of a commit make one document, by the rules of Spring Cloud Config.</summary>
/// <param name="Files">The files that exist, highest precedence first.</param>
/// <param name="Profiles">The environments asked for, each once; the last wins.</param>
/// <param name="Errors">Search paths that can't be used for this document.</param>
/// <param name="HasOwnFile">Whether a file named after the service itself exists.</param>
internal sealed record SearchPlan(
    ImmutableArray<PlannedFile> Files, ImmutableArray<string> Profiles, FileDependencies Dependencies, ImmutableArray<ConfigError> Errors, bool HasOwnFile)
{
    private const string Shared = "application";

    /// <summary>Each adds candidates in every search location.</summary>
    private const int MaxEnvironments = 32;

    /// <summary>Of one stem, highest precedence first. Spring does not load <c>.json</c>, so it comes last.</summary>
    private static readonly ImmutableArray<string> s_extensions = [".properties", ".yml", ".yaml", ".json"];

    /// <summary>
    /// Plans one document. <paramref name="label"/> is what <c>{label}</c> stands for in search paths. The cost follows the number of candidate paths,
    /// not the size of the tree.
    /// </summary>
    public static SearchPlan Create(DocumentKey key, string label, IReadOnlyList<string> searchPaths, ConfigTree tree)
    {
        ImmutableArray<string> profiles = [.. key.Environments.Distinct(StringComparer.Ordinal)];
        if (profiles.Length > MaxEnvironments) return Refused(profiles, $"{profiles.Length} environments are asked for at once; the limit is {MaxEnvironments}.");
        var groups = StemGroups(key.Services, profiles);
        var fileNames = groups.SelectMany(g => g).SelectMany(stem => s_extensions, (stem, extension) => stem + extension).ToList();
        var locations = SearchLocations.Create(key, label, searchPaths, fileNames, tree);

        var paths = ImmutableArray.CreateBuilder<string>(fileNames.Count * locations.Directories.Length);
        var files = ImmutableArray.CreateBuilder<PlannedFile>();
        var hasOwnFile = false;
        foreach (var stems in groups)
        {
            foreach (var directory in locations.Directories.Reverse())
            {
                foreach (var stem in stems)
                {
                    foreach (var extension in s_extensions)
                    {
                        var path = directory.Length == 0 ? stem + extension : $"{directory}/{stem}{extension}";
                        paths.Add(path);
                        if (!tree.Blobs.TryGetValue(path, out var blob)) continue;
                        files.Add(new PlannedFile(path, blob));
                        hasOwnFile |= stem != stems[^1] || stems.Length == 1;
                    }
                }
            }
        }
        return new SearchPlan(
            files.ToImmutable(), profiles, new FileDependencies(paths.ToImmutable(), locations.Patterns),
            [.. locations.Errors.Select(e => new ConfigError(null, null, e))], hasOwnFile);
    }

    private static SearchPlan Refused(ImmutableArray<string> profiles, string reason) =>
        new([], profiles, new FileDependencies([], []), [new ConfigError(null, null, reason)], HasOwnFile: false);

    /// <summary>Files of one group beat those of the next wherever they lie; within a group the location decides, then the stem. The shared stem is last.</summary>
    private static List<string[]> StemGroups(ImmutableArray<string> services, ImmutableArray<string> profiles)
    {
        var groups = profiles.Reverse().Select(profile => Stems("-" + profile)).ToList();
        groups.Add(Stems(""));
        return groups;

        string[] Stems(string suffix) => [.. services.Reverse().Append(Shared).Distinct(StringComparer.Ordinal).Select(service => service + suffix)];
    }
}
