using System.Security.Cryptography;

namespace Lockstep.Storage;

/// <summary>Files that only their owner may read, and that are there whole or not at all.</summary>
internal static class OwnersFile
{
    /// <summary>Opens a file; one that is made is for its owner alone.</summary>
    public static FileStream Open(string path, FileMode mode, FileAccess access = FileAccess.Write, FileShare share = FileShare.None)
    {
        var options = new FileStreamOptions { Mode = mode, Access = access, Share = share };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, options);
    }

    /// <summary>Puts a new file in the place of what is there, or of nothing. It is on disk, name and all, when this returns; when it fails, nothing of it is left.</summary>
    public static void Replace(string path, Action<FileStream> write, bool overwrite = true)
    {
        var fresh = $"{path}.{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8))}.new";
        try
        {
            using (var file = Open(fresh, FileMode.CreateNew))
            {
                write(file);
                file.Flush(flushToDisk: true);
            }
            File.Move(fresh, path, overwrite);
        }
        catch
        {
            File.Delete(fresh);
            throw;
        }
        Posix.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
    }
}
