using Lockstep.Config.Placeholders;

namespace Lockstep.Config;

/// <summary>Merges a source set and expands its placeholders. Secrets stay references: nothing here knows a secret's text.</summary>
internal static class ConfigResolver
{
    /// <summary>The same sources always give the same result. Time and memory are bounded by <see cref="ConfigLimits"/>, whatever the placeholders say.</summary>
    public static ResolvedConfig Resolve(SourceSet sources)
    {
        if (!sources.Errors.IsEmpty) return new ResolvedConfig([], sources.Errors, []);
        return new PlaceholderExpander(SourceMerge.Merge(sources.Sources)).Expand();
    }
}
