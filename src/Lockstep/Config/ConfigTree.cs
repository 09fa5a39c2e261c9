using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace Lockstep.Config;

/// <summary>
/// The config files (<c>.yml .yaml .json .properties</c>, regular files only) of one commit: path → blob id. Made once by listing the commit, then
/// carried from commit to commit by what changed between them.
/// </summary>
internal sealed record ConfigTree(string Commit, ImmutableDictionary<string, string> Blobs)
{
    // Beside the record and not in it: a copy made by `with` must not carry the index of other blobs.
    private static readonly ConditionalWeakTable<ImmutableDictionary<string, string>, Dictionary<string, List<string>>> s_directories = new();

    public static ConfigTree Empty { get; } = new("", ImmutableDictionary.Create<string, string>(StringComparer.Ordinal));

    public static bool IsConfigFile(string path) =>
        path.EndsWith(".yml", StringComparison.Ordinal) || path.EndsWith(".yaml", StringComparison.Ordinal)
        || path.EndsWith(".json", StringComparison.Ordinal) || path.EndsWith(".properties", StringComparison.Ordinal);

    /// <summary>The directories that hold a file of that name. The first call on a tree walks it once; only wildcard search paths need it.</summary>
    public IReadOnlyList<string> DirectoriesWith(string fileName) =>
        s_directories.GetValue(Blobs, IndexByName).TryGetValue(fileName, out var directories) ? directories : [];

    private static Dictionary<string, List<string>> IndexByName(ImmutableDictionary<string, string> blobs)
    {
        var index = new Dictionary<string, List<string>>(StringComparer.Ordinal);
        foreach (var path in blobs.Keys)
        {
            var slash = path.LastIndexOf('/');
            var name = path[(slash + 1)..];
            if (!index.TryGetValue(name, out var directories)) index.Add(name, directories = []);
            directories.Add(slash < 0 ? "" : path[..slash]);
        }
        return index;
    }
}
