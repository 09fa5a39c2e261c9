using System.Collections.Immutable;
using System.Diagnostics;
using System.Text;
using Lockstep.Config;
using Lockstep.Config.Parsing;

namespace Lockstep.Tests.Config;

/// <summary>A repository held in memory, for tests of everything between bytes and a resolved document.</summary>
internal sealed class ConfigFiles
{
    private readonly Dictionary<string, byte[]> _files = new(StringComparer.Ordinal);

    public ConfigFiles(params (string Path, string Text)[] files)
    {
        foreach (var (path, text) in files) _files[path] = Encoding.UTF8.GetBytes(text);
    }

    public IReadOnlyList<string> SearchPaths { get; init; } = [];

    public ConfigTree Tree => new("commit", _files.Keys.ToImmutableDictionary(p => p, p => "blob:" + p, StringComparer.Ordinal));

    /// <summary>Clones a bundle with git and reads the config files of its branch main.</summary>
    public static ConfigFiles FromBundle(string bundle)
    {
        var directory = Directory.CreateTempSubdirectory("lockstep-test-");
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["clone", "-q", "-b", "main", bundle, directory.FullName]) { RedirectStandardError = true, UseShellExecute = false })!;
            var error = git.StandardError.ReadToEnd();
            git.WaitForExit();
            if (git.ExitCode != 0) throw new InvalidOperationException(error);
            var files = new ConfigFiles();
            foreach (var file in directory.EnumerateFiles("*", SearchOption.AllDirectories))
            {
                var path = Path.GetRelativePath(directory.FullName, file.FullName);
                if (ConfigTree.IsConfigFile(path) && !path.StartsWith(".git/", StringComparison.Ordinal)) files._files[path] = File.ReadAllBytes(file.FullName);
            }
            return files;
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    public IEnumerable<string> Paths => _files.Keys;

    public ParsedFile Parse(string path) => ConfigFileParser.Parse(path, _files[path]);

    public SearchPlan Plan(string service, string environment, string label = "main") =>
        SearchPlan.Create(new DocumentKey(service, environment), label, SearchPaths, Tree);

    public SourceSet Sources(string service, string environment) => SourceSet.Create(Plan(service, environment), Parse);

    public ResolvedConfig Resolve(string service = "app", string environment = "dev") => ConfigResolver.Resolve(Sources(service, environment));

    /// <summary>The resolved values as text, references as <c>&lt;id#field@version&gt;</c>.</summary>
    public Dictionary<string, string> Values(string service = "app", string environment = "dev")
    {
        var resolved = Resolve(service, environment);
        if (resolved.Errors.Length > 0) throw new InvalidOperationException(string.Join("; ", resolved.Errors));
        return resolved.Values.ToDictionary(v => v.Key, v => Show(v.Value), StringComparer.Ordinal);
    }

    public static ParsedFile ParseText(string path, string text) => ConfigFileParser.Parse(path, Encoding.UTF8.GetBytes(text));

    /// <summary>Entries of all documents as <c>key=value</c>, numbers with <c>#</c> before the value and booleans with <c>?</c>.</summary>
    public static string[] Entries(string path, string text)
    {
        var file = ParseText(path, text);
        if (file.Error is not null) throw new InvalidOperationException(file.Error.ToString());
        return [.. file.Documents.SelectMany(d => d.Entries).Select(e => $"{e.Key}={Mark(e.Value.Kind)}{e.Value.Text}")];
    }

    public static string Show(ConfigValue value) => value switch
    {
        ConfigValue.Scalar scalar => Mark(scalar.Value.Kind) + scalar.Value.Text,
        ConfigValue.Secret secret => Show(secret.Ref),
        ConfigValue.Text text => string.Concat(text.Parts.Select(p => p.Literal ?? Show(p.Ref!))),
        _ => throw new InvalidOperationException(),
    };

    private static string Show(Lockstep.Secrets.SecretRef reference) =>
        $"<{reference.Id}{(reference.Field is null ? "" : "#" + reference.Field)}{(reference.Version is null ? "" : "@" + reference.Version)}>";

    private static string Mark(ScalarKind kind) => kind switch { ScalarKind.Number => "#", ScalarKind.Boolean => "?", _ => "" };
}
