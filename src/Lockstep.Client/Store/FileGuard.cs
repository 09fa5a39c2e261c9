using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Lockstep.Client;

/// <summary>Whether a file is its user's alone. Asked of an open file: its name may have another one behind it a moment later.</summary>
internal static class FileGuard
{
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    // statx(2): the same layout on every architecture.
    private const int AtWorkingDirectory = -100;
    private const int AtEmptyPath = 0x1000;
    private const uint StatxType = 0x1;
    private const uint StatxUid = 0x8;
    private const int StatxBytes = 256;
    private const int UidAt = 20;
    private const int ModeAt = 28;
    private const int TypeBits = 0xF000;
    private const int RegularFile = 0x8000;
    private const int NoEntry = 2;
    private const int NotADirectory = 20;

    /// <summary>Why what has this name must not be opened: opening what is no file (a pipe, a device) may wait for ever. Null: it may, or there is none. Known on Linux only; null elsewhere.</summary>
    public static string? RefusalToOpen(string path)
    {
        if (!OperatingSystem.IsLinux()) return null;
        var stat = new byte[StatxBytes];
        if (Statx(AtWorkingDirectory, Encoding.UTF8.GetBytes(path + '\0'), 0, StatxType, stat) == 0)
            return (BitConverter.ToUInt16(stat, ModeAt) & TypeBits) == RegularFile ? null : "is not a regular file";
        return Marshal.GetLastPInvokeError() is var error and not (NoEntry or NotADirectory)
            ? string.Create(System.Globalization.CultureInfo.InvariantCulture, $"can't be looked at (error {error})") : null;
    }

    /// <summary>Why the file must not be trusted; null: it may.</summary>
    public static string? Refusal(SafeFileHandle file)
    {
        if (OperatingSystem.IsWindows()) return null;
        if ((File.GetUnixFileMode(file) & Others) != UnixFileMode.None) return "can be read or written by others than its owner: chmod 600";
        if (!OperatingSystem.IsLinux()) return null;
        if (OwnerOf(file) is not { } owner) return "has an owner that the system does not tell";
        return owner == EffectiveUser() ? null : "belongs to another user";
    }

    /// <summary>The id of the user whom an open file belongs to. Known on Linux only; null elsewhere, and when the system does not say.</summary>
    public static uint? OwnerOf(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux()) return null;
        var stat = new byte[StatxBytes];
        return Statx(file, [0], AtEmptyPath, StatxUid, stat) == 0 ? BitConverter.ToUInt32(stat, UidAt) : null;
    }

    /// <summary>The id of the user that this process runs as.</summary>
    [DllImport("libc", EntryPoint = "geteuid")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    public static extern uint EffectiveUser();

    [DllImport("libc", EntryPoint = "statx", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Statx(SafeFileHandle directory, byte[] path, int flags, uint mask, byte[] result);

    [DllImport("libc", EntryPoint = "statx", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Statx(int directory, byte[] path, int flags, uint mask, byte[] result);
}
