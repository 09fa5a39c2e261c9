using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>A source set merged, with its placeholders expanded: what a document says before secrets are filled in.</summary>
/// <param name="Values">Sorted by key, ordinal.</param>
/// <param name="Errors">Why it does not resolve; then <paramref name="Values"/> is empty.</param>
/// <param name="Warnings">Placeholders that name no key and have no default: they stay as text.</param>
internal sealed record ResolvedConfig(
    ImmutableArray<ResolvedEntry> Values, ImmutableArray<ConfigError> Errors, ImmutableArray<ConfigError> Warnings);

internal readonly record struct ResolvedEntry(string Key, ConfigValue Value, SourceLocation Location);
