namespace Lockstep.Cli;

/// <summary>How this program is called from here, for messages that can be pasted into a shell.</summary>
internal static class ProgramName
{
    public static string ForShell()
    {
        if (Environment.ProcessPath is not { } path || !Path.GetFileNameWithoutExtension(path).Equals("lockstep", StringComparison.Ordinal)) return "lockstep";
        foreach (var directory in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator))
        {
            var found = Path.Combine(directory, Path.GetFileName(path));
            if (!File.Exists(found)) continue;
            // The first one on the PATH is what the shell would run.
            if (Path.GetFullPath(found) == path || new FileInfo(found).ResolveLinkTarget(returnFinalTarget: true)?.FullName == path) return "lockstep";
            break;
        }
        var relative = Path.GetRelativePath(Directory.GetCurrentDirectory(), path);
        var shown = relative.StartsWith("..", StringComparison.Ordinal) ? path : "./" + relative;
        return shown.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('/' or '.' or '-' or '_' or '+')) ? $"'{shown.Replace("'", @"'\''", StringComparison.Ordinal)}'" : shown;
    }
}
