using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>The files a document depends on: paths (which may not exist yet) and wildcard directory patterns such as <c>config/*</c>.</summary>
internal sealed record FileDependencies(ImmutableArray<string> Paths, ImmutableArray<string> DirectoryPatterns)
{
    public bool IsSameAs(FileDependencies other) =>
        Paths.AsSpan().SequenceEqual(other.Paths.AsSpan()) && DirectoryPatterns.AsSpan().SequenceEqual(other.DirectoryPatterns.AsSpan());
}
