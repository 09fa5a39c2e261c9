using System.Collections.Immutable;

namespace Lockstep.Config.Parsing;

/// <summary>What one file says, or why it does not parse. It depends on the bytes and the path alone, so it may be kept by both.</summary>
internal sealed record ParsedFile(ImmutableArray<ParsedDocument> Documents, ConfigError? Error)
{
    public static ParsedFile Failed(string path, int line, string message) => new([], new ConfigError(new(path, line), null, message));
}

/// <summary>One document of a file, flattened; <paramref name="Activation"/> is null when it always applies.</summary>
internal sealed record ParsedDocument(ImmutableArray<PropertyEntry> Entries, Activation? Activation);
