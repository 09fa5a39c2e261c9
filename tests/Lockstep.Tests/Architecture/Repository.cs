namespace Lockstep.Tests.Architecture;

/// <summary>The working tree that the tests were built from.</summary>
internal static class Repository
{
    private static readonly Lazy<IReadOnlyList<SourceFile>> s_sources = new(ReadSources);

    public static string Root { get; } = FindRoot();

    /// <summary>Every C# file of <c>src</c>, <c>tests</c> and <c>bench</c>.</summary>
    public static IReadOnlyList<SourceFile> Sources => s_sources.Value;

    /// <summary>The C# files of the executable.</summary>
    public static IReadOnlyList<SourceFile> Executable { get; } = [.. Sources.Where(f => f.Path.StartsWith("src/Lockstep/", StringComparison.Ordinal))];

    private static IReadOnlyList<SourceFile> ReadSources() =>
    [
        .. new[] { "src", "tests", "bench" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories))
            .Select(path => new SourceFile(Path.GetRelativePath(Root, path).Replace('\\', '/'), File.ReadAllText(path)))
            .Where(file => !file.Path.Contains("/obj/", StringComparison.Ordinal) && !file.Path.Contains("/bin/", StringComparison.Ordinal))
            .OrderBy(file => file.Path, StringComparer.Ordinal),
    ];

    private static string FindRoot()
    {
        var directory = new DirectoryInfo(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "lockstep.slnx"))) directory = directory.Parent;
        return directory?.FullName ?? throw new InvalidOperationException("The tests do not stand in a working tree: no lockstep.slnx above them.");
    }
}
