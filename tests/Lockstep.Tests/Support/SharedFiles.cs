namespace Lockstep.Tests.Support;

/// <summary>Inputs that are kept beside the repository, in a folder <c>shared</c> in or above it: real repositories and conformance cases.</summary>
internal static class SharedFiles
{
    /// <summary>The file's path, or null after saying so where the folder is not there; with CI=true that is a failure.</summary>
    public static string? Find(string relativePath)
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var path = Path.Combine(folder.FullName, "shared", relativePath);
            if (File.Exists(path)) return path;
        }
        if (string.Equals(Environment.GetEnvironmentVariable("CI"), "true", StringComparison.OrdinalIgnoreCase))
            throw new FileNotFoundException($"shared/{relativePath} is missing; in CI it must be there.");
        Console.WriteLine($"skipped: shared/{relativePath} is not there; put the folder 'shared' beside the repository.");
        return null;
    }
}
