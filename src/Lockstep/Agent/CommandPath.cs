namespace Lockstep.Agent;

/// <summary>Finds a command as a shell does: a name with a slash is a path, any other is looked for in <c>PATH</c>. The working directory is not part of it.</summary>
internal readonly record struct CommandPath(string? Path, int ExitCode, string? Problem)
{
    private const UnixFileMode AnyExecute = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    public static CommandPath Find(string name)
    {
        if (name.Length == 0) return new(null, Runner.NotFound, "the command is empty");
        if (OperatingSystem.IsWindows()) return new(name, 0, null);
        if (name.Contains('/', StringComparison.Ordinal)) return Check(name) ?? new(null, Runner.NotFound, $"{name}: not found");
        CommandPath? unfit = null;
        foreach (var directory in (Environment.GetEnvironmentVariable("PATH") ?? "/usr/local/bin:/usr/bin:/bin").Split(':'))
        {
            // An empty entry is the working directory (POSIX.1-2017, 8.3).
            if (Check(System.IO.Path.Combine(directory.Length == 0 ? "." : directory, name)) is not { } found) continue;
            if (found.Path is not null) return found;
            unfit ??= found;
        }
        return unfit ?? new(null, Runner.NotFound, $"{name}: not found in PATH");
    }

    private static CommandPath? Check(string path)
    {
        if (Directory.Exists(path)) return new(null, Runner.NotExecutable, $"{path}: is a directory");
        if (!File.Exists(path)) return null;
        return !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & AnyExecute) == UnixFileMode.None
            ? new(null, Runner.NotExecutable, $"{path}: is not executable (chmod +x)")
            : new(System.IO.Path.GetFullPath(path), 0, null);
    }
}
