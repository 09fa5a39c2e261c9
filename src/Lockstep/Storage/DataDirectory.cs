using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Storage;

/// <summary>The data directory while this process owns it. The operating system's lock ends with the process, however that ends.</summary>
internal sealed class DataDirectory : IDisposable
{
    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held)
    {
        Path = path;
        _lock = held;
    }

    /// <summary>The full path.</summary>
    public string Path { get; }

    /// <summary>Makes the directory (0700) when it is missing and takes it.</summary>
    /// <exception cref="LockstepException">unavailable when another process has it (the message names it), or when it can't be made or written.</exception>
    public static DataDirectory Lock(string path, TimeProvider time)
    {
        path = System.IO.Path.GetFullPath(path);
        var holder = System.IO.Path.Combine(path, "lockstep.pid");
        try
        {
            Create(path);
            var held = Take(System.IO.Path.Combine(path, "lockstep.lock"))
                ?? throw new LockstepException(ErrorCode.Unavailable, $"the data directory {path} is in use by another Lockstep server{Describe(holder)}; stop that one, or use another directory (data:)");
            try
            {
                // Kept beside the lock, because a locked file can't be read everywhere.
                File.WriteAllText(holder, string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {time.GetUtcNow():yyyy-MM-ddTHH:mm:ssZ}\n"));
                return new DataDirectory(path, held);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the data directory {path} can't be used: {e.Message} Check its owner and mode, or use another directory (data:)", e);
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Makes a directory that only its owner may enter, with the ones above it; one that exists stays as it is.</summary>
    internal static void Create(string path)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
        else Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    // Null when another process holds it.
    private static FileStream? Take(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            return new FileStream(path, options);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or FileNotFoundException) && File.Exists(path))
        {
            return null;
        }
    }

    private static string Describe(string holder)
    {
        try
        {
            var parts = File.ReadAllText(holder).Trim().Split(' ', 2);
            return parts.Length == 2 ? $" (pid {parts[0]}, since {parts[1]})" : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
