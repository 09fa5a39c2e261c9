using System.Collections.Immutable;
using Lockstep.Config.Parsing;

namespace Lockstep.Config;

/// <summary>The config files of a directory on disk, as a commit of them would have them: for checking before anything is committed.</summary>
internal sealed class WorkingTree
{
    private const int MaxFiles = 100_000;

    private readonly string _root;
    private readonly Dictionary<string, ParsedFile> _parsed = new(StringComparer.Ordinal);

    private WorkingTree(string root, ConfigTree tree) => (_root, Tree) = (root, tree);

    /// <summary>Path → path: on disk a file is its own id.</summary>
    public ConfigTree Tree { get; }

    /// <summary>Lists the directory; links and <c>.git</c> are left out, as a commit has no use for them.</summary>
    public static WorkingTree Open(string directory)
    {
        var root = Path.GetFullPath(directory);
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false };
        var files = Directory.EnumerateFiles(root, "*", options)
            .Select(f => Path.GetRelativePath(root, f).Replace(Path.DirectorySeparatorChar, '/'))
            .Where(f => !f.StartsWith(".git/", StringComparison.Ordinal) && ConfigTree.IsConfigFile(f))
            .Take(MaxFiles);
        return new WorkingTree(root, new ConfigTree("working tree", files.ToImmutableDictionary(f => f, StringComparer.Ordinal)));
    }

    /// <summary>What every file that does not parse is wrong about.</summary>
    public IEnumerable<ConfigError> SyntaxErrors() =>
        Tree.Blobs.Keys.Order(StringComparer.Ordinal).Select(path => Read(path).Error).OfType<ConfigError>();

    /// <summary>What a document comes to, secrets aside.</summary>
    public (SourceSet Sources, ResolvedConfig Config) Resolve(DocumentKey key, IReadOnlyList<string> searchPaths)
    {
        var sources = SourceSet.Create(SearchPlan.Create(key, key.Label ?? "main", searchPaths, Tree), Read);
        return (sources, sources.Errors.IsEmpty ? ConfigResolver.Resolve(sources) : new ResolvedConfig([], sources.Errors, []));
    }

    /// <summary>The documents that the names of the files speak of: every service with every environment, at most <paramref name="limit"/>.</summary>
    public IReadOnlyList<DocumentKey> Documents(int limit)
    {
        var stems = Tree.Blobs.Keys.Select(Path.GetFileNameWithoutExtension).OfType<string>().ToHashSet(StringComparer.Ordinal);
        // a-b is service a in environment b where there is a file a, else a service of its own.
        var split = stems.Where(s => s != "application").Select(s => Split(s, stems)).ToList();
        var services = split.Select(s => s.Service).Where(s => s != "application").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal);
        var environments = split.Select(s => s.Environment).OfType<string>().Append("default").Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).ToList();
        return [.. services.SelectMany(s => environments.Select(e => new DocumentKey(s, e))).Take(limit)];
    }

    private static (string Service, string? Environment) Split(string stem, HashSet<string> stems)
    {
        for (var dash = stem.LastIndexOf('-'); dash > 0; dash = stem.LastIndexOf('-', dash - 1))
            if (stems.Contains(stem[..dash]) || stem[..dash] == "application") return (stem[..dash], stem[(dash + 1)..]);
        return (stem, null);
    }

    private ParsedFile Read(string path)
    {
        if (_parsed.TryGetValue(path, out var parsed)) return parsed;
        var file = new FileInfo(Path.Combine(_root, path));
        parsed = file.Length > ConfigLimits.FileBytes
            ? ParsedFile.Failed(path, 1, $"the file is {file.Length:N0} bytes long; the limit is {ConfigLimits.FileBytes:N0}")
            : ConfigFileParser.Parse(path, File.ReadAllBytes(file.FullName));
        _parsed.Add(path, parsed);
        return parsed;
    }
}
