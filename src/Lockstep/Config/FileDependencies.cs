using System.Collections.Immutable;

namespace Lockstep.Config;

/// <summary>The files a document depends on: paths (which may not exist yet) and wildcard directory patterns such as <c>config/*</c>.</summary>
internal sealed record FileDependencies(ImmutableArray<string> Paths, ImmutableArray<string> DirectoryPatterns)
{
    public bool IsSameAs(FileDependencies other) =>
        Paths.AsSpan().SequenceEqual(other.Paths.AsSpan()) && DirectoryPatterns.AsSpan().SequenceEqual(other.DirectoryPatterns.AsSpan());

    /// <summary>
    /// Whether a file added or removed at <paramref name="path"/> concerns the document through a wildcard search path. The root is always
    /// searched, so every file name the document looks for is among <see cref="Paths"/> without a directory.
    /// </summary>
    public bool MatchesPattern(string path)
    {
        if (DirectoryPatterns.IsEmpty) return false;
        var slash = path.LastIndexOf('/');
        var directory = slash < 0 ? "" : path[..slash];
        return DirectoryPatterns.Any(p => DirectoryPattern.IsMatch(p, directory)) && Paths.Contains(path[(slash + 1)..], StringComparer.Ordinal);
    }
}
