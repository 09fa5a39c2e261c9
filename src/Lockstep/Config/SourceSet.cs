using System.Collections.Immutable;
using Lockstep.Config.Parsing;

namespace Lockstep.Config;

/// <summary>
/// The property sources that apply to one (service, environments, label) at one commit, highest precedence first, with the file and line of
/// every key. Documents and the Spring endpoint are both made from it.
/// </summary>
/// <param name="Sources">Highest precedence first; documents whose activation does not match are left out.</param>
/// <param name="Dependencies">Every path that was looked for, whether it exists or not, and the directory patterns of wildcard search paths.</param>
/// <param name="Errors">Files that do not parse or are over a limit.</param>
/// <param name="HasOwnFile">Whether a file named after the service itself exists.</param>
internal sealed record SourceSet(
    ImmutableArray<PropertySource> Sources, FileDependencies Dependencies, ImmutableArray<ConfigError> Errors, bool HasOwnFile)
{
    /// <summary>Values that are encrypted and can't be decrypted. Documents are invalid by them; to Spring clients each key is told under <c>invalid.</c>.</summary>
    public ImmutableArray<ConfigError> CipherErrors { get; init; } = [];

    /// <summary>Puts the sources of a plan together. <paramref name="read"/> is asked once for each planned path; within a file a later document beats an earlier.</summary>
    public static SourceSet Create(SearchPlan plan, Func<string, ParsedFile> read)
    {
        var sources = ImmutableArray.CreateBuilder<PropertySource>();
        var errors = plan.Errors.ToBuilder();
        foreach (var (path, _) in plan.Files)
        {
            var file = read(path);
            if (file.Error is { } error) errors.Add(error);
            var several = file.Documents.Length > 1;
            for (var i = file.Documents.Length - 1; i >= 0; i--)
            {
                var document = file.Documents[i];
                if (document.Activation?.Matches(plan.Profiles) == false) continue;
                sources.Add(new PropertySource(several ? $"{path} (document #{i})" : path, path, i, document.Entries));
            }
        }
        return new SourceSet(sources.ToImmutable(), plan.Dependencies, errors.ToImmutable(), plan.HasOwnFile);
    }
}
