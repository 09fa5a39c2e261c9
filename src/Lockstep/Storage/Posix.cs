using System.Runtime.InteropServices;
using Lockstep.Client;
using Microsoft.Win32.SafeHandles;

namespace Lockstep.Storage;

/// <summary>The few calls of the operating system that .NET has no name for.</summary>
internal static partial class Posix
{
    /// <summary>Makes a new or renamed file's name in <paramref name="directory"/> survive power loss.</summary>
    public static void SyncDirectory(string directory)
    {
        if (OperatingSystem.IsWindows()) return;
        var descriptor = Open(directory, 0);
        if (descriptor < 0) throw new IOException($"{directory} can't be opened (error {Marshal.GetLastPInvokeError()}).");
        try
        {
            // Some file systems do not know fsync of a directory (EINVAL = 22); they have nothing to sync then.
            if (Fsync(descriptor) != 0 && Marshal.GetLastPInvokeError() != 22)
                throw new IOException($"{directory} can't be written to disk (error {Marshal.GetLastPInvokeError()}).");
        }
        finally
        {
            _ = Close(descriptor);
        }
    }

    /// <summary>Writes all of it to an open descriptor, at the place that it shares with everybody who has it.</summary>
    /// <exception cref="IOException">Part of it may be written.</exception>
    public static void WriteTo(int descriptor, ReadOnlySpan<byte> bytes)
    {
        const int Interrupted = 4;
        while (!bytes.IsEmpty)
        {
            var written = Write(descriptor, in MemoryMarshal.GetReference(bytes), (nuint)bytes.Length);
            if (written >= 0) bytes = bytes[(int)written..];
            else if (Marshal.GetLastPInvokeError() is var error and not Interrupted) throw new IOException(Marshal.GetPInvokeErrorMessage(error));
        }
    }

    /// <summary>Whether the open file belongs to another user than this process's or root. Known on Linux only; false elsewhere.</summary>
    public static bool IsForeign(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux()) return false;
        var owner = FileGuard.OwnerOf(file) ?? throw new IOException($"the owner of the file is not known (error {Marshal.GetLastPInvokeError()})");
        return owner != 0 && owner != FileGuard.EffectiveUser();
    }

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint Write(int descriptor, in byte buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Fsync(int descriptor);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int descriptor);
}
