using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>
/// A document as files, one for each key: <c>DIR/KEY → ..data/KEY</c> and <c>..data → ..N</c>, so that one rename takes every file from one document
/// to the next. The directory lies on a tmpfs that only the child's mount namespace has (<see cref="ExecShim"/>); from outside it is reached through
/// <c>/proc/PID/root</c>.
/// </summary>
internal static partial class SecretMount
{
    private const string Data = "..data";
    private const int MaxName = 255;
    private const long MemoryFileSystem = 0x01021994;

    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <exception cref="LockstepException">invalid-config with the keys that can't be file names.</exception>
    public static IReadOnlyDictionary<string, string> FilesOf(Snapshot snapshot, SortedDictionary<string, string> values)
    {
        var problems = new List<ProblemError>();
        foreach (var key in values.Keys)
            if (Problem(key) is { } problem)
                problems.Add(new ProblemError { Key = key, Message = problem });
        if (problems.Count == 0) return values;
        throw new LockstepException(ErrorCode.InvalidConfig, $"the config of {snapshot.Service}/{snapshot.Environment} can't be files; the command was not started with it") { Errors = problems };
    }

    /// <summary>The directory of a running child as this process can reach it.</summary>
    /// <exception cref="IOException">It is not the child's own tmpfs: what is written there would stay on a disk.</exception>
    public static string Of(int child, string directory)
    {
        var process = string.Create(CultureInfo.InvariantCulture, $"/proc/{child}");
        var path = process + "/root" + directory;
        if (NamespaceOf(process) is not { } own || own == NamespaceOf("/proc/self") || !IsMemory(path))
            throw new IOException("the command has no tmpfs of its own there");
        return path;
    }

    /// <summary>Puts the files in place of those that are there; a reader sees all of the one or all of the other.</summary>
    [UnsupportedOSPlatform("windows")]
    public static void Write(string directory, IReadOnlyDictionary<string, string> files)
    {
        var data = Path.Combine(directory, Data);
        var before = new FileInfo(data).LinkTarget;
        var name = string.Create(CultureInfo.InvariantCulture, $"..{(before is null ? 1 : long.Parse(before.AsSpan(2), NumberStyles.None, CultureInfo.InvariantCulture) + 1)}");
        var folder = Path.Combine(directory, name);
        Directory.CreateDirectory(folder, Owner);
        foreach (var (key, value) in files) WriteFile(Path.Combine(folder, key), value);
        File.SetUnixFileMode(folder, UnixFileMode.UserRead | UnixFileMode.UserExecute);

        // A link that leads nowhere yet is better than a key that the new document has and the directory has not.
        foreach (var key in files.Keys)
            if (!Exists(Path.Combine(directory, key)))
                File.CreateSymbolicLink(Path.Combine(directory, key), Data + "/" + key);
        var next = Path.Combine(directory, "..next");
        File.Delete(next);
        File.CreateSymbolicLink(next, name);
        if (Rename(next, data) != 0) throw new IOException($"{data} can't be replaced (error {Marshal.GetLastPInvokeError()})");

        foreach (var link in Directory.GetFileSystemEntries(directory).Select(p => Path.GetFileName(p)!))
            if (!link.StartsWith("..", StringComparison.Ordinal) && !files.ContainsKey(link))
                File.Delete(Path.Combine(directory, link));
        if (before is not null) Remove(Path.Combine(directory, before));
    }

    /// <summary>Takes all files away.</summary>
    [UnsupportedOSPlatform("windows")]
    public static void Clear(string directory)
    {
        if (new FileInfo(Path.Combine(directory, Data)).LinkTarget is null) return;
        Write(directory, new Dictionary<string, string>(StringComparer.Ordinal));
    }

    [UnsupportedOSPlatform("windows")]
    private static void Remove(string folder)
    {
        File.SetUnixFileMode(folder, Owner);
        Directory.Delete(folder, recursive: true);
    }

    [UnsupportedOSPlatform("windows")]
    private static void WriteFile(string path, string value)
    {
        using var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead });
        file.Write(Encoding.UTF8.GetBytes(value));
    }

    private static bool IsMemory(string path)
    {
        // struct statfs begins with the type, a long, on all of Linux's 64-bit systems; the rest is not looked at.
        Span<long> status = stackalloc long[32];
        return FileSystemStatus(path, ref MemoryMarshal.GetReference(status)) == 0 && status[0] == MemoryFileSystem;
    }

    private static string? NamespaceOf(string process) => new FileInfo(process + "/ns/mnt").LinkTarget;

    private static bool Exists(string path) => new FileInfo(path).LinkTarget is not null;

    private static string? Problem(string key)
    {
        if (key.Contains('/', StringComparison.Ordinal) || key.Contains('\0', StringComparison.Ordinal)) return "can't be the name of a file: rename the key";
        if (key is "" or "." || key.StartsWith("..", StringComparison.Ordinal)) return "can't be the name of a file, as it is empty, '.' or begins with '..': rename the key";
        return Encoding.UTF8.GetByteCount(key) > MaxName ? $"is longer than {MaxName} bytes, the limit for the name of a file" : null;
    }

    [LibraryImport("libc", EntryPoint = "statfs", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int FileSystemStatus(string path, ref long status);

    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Rename(string from, string to);
}
