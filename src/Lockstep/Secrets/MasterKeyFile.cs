using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>The file of the master key: 32 bytes in base64, for its owner alone.</summary>
internal static class MasterKeyFile
{
    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <summary>Makes a new key. It is on disk, name and all, before this returns: what is encrypted under it must never outlive it.</summary>
    public static void Create(string path)
    {
        try
        {
            var directory = Path.GetDirectoryName(path)!;
            DataDirectory.Create(directory);
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = Owner;
            // Under another name first: a crash leaves no half-written key.
            var temporary = path + ".new";
            File.Delete(temporary);
            using (var file = new FileStream(temporary, options))
            {
                Span<byte> key = stackalloc byte[32];
                RandomNumberGenerator.Fill(key);
                file.Write(System.Text.Encoding.ASCII.GetBytes(Convert.ToBase64String(key) + "\n"));
                file.Flush(flushToDisk: true);
                CryptographicOperations.ZeroMemory(key);
            }
            File.Move(temporary, path, overwrite: false);
            Posix.SyncDirectory(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the master key file {path} can't be made: {e.Message}", e);
        }
    }

    public static byte[] Read(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            // Asked of the open file, so that nobody swaps it between the question and the reading.
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(file.SafeFileHandle) & Others) != UnixFileMode.None)
                throw Refused(path, "can be read or changed by other users. Run chmod 600 on it; if anyone may have read it, make new secrets");
            if (new FileInfo(path).LinkTarget is not null && Posix.IsForeign(file.SafeFileHandle))
                throw Refused(path, "is a link to a file of another user. Put a file of your own there");
            var buffer = new byte[128];
            var count = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            var key = count == buffer.Length ? null : MasterKey.Decode(System.Text.Encoding.ASCII.GetString(buffer, 0, count));
            CryptographicOperations.ZeroMemory(buffer);
            return key ?? throw Refused(path, "does not hold a master key: it must be 32 bytes in base64. Put the right file back from its copy");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new LockstepException(ErrorCode.Conflict,
                $"the master key file {path} is missing, and this database was made with one. Put it back from its copy, or point the setting masterKey at it; without it the secrets can't be read", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Conflict, $"the master key file {path} can't be read: {e.Message}", e);
        }
    }

    private static LockstepException Refused(string path, string why) => new(ErrorCode.Conflict, $"the master key file {path} {why}");
}
