using System.Security.Cryptography;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>
/// The file of the master key: 32 bytes in base64, for its owner alone. While the key is being changed the new one is beside it, in <c>FILE.next</c>; which
/// of the two counts is the database's to say.
/// </summary>
internal sealed class MasterKeyFile(string path) : IMasterKeySource
{
    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private readonly string _next = path + ".next";

    public string Name => path;

    public Task<RootKey?> FindAsync(byte[] check, MasterKeyState state, CancellationToken cancellationToken) =>
        Task.FromResult(ReadIf(path, check) ?? ReadIf(_next, check));

    public Task<NewMasterKey> FirstAsync(MasterKeyState state, CancellationToken cancellationToken)
    {
        if (!File.Exists(path)) WriteNew(path).Dispose();
        return Task.FromResult(new NewMasterKey(Read(path)));
    }

    public Task<NewMasterKey> NextAsync(MasterKeyState state, CancellationToken cancellationToken) => Task.FromResult(new NewMasterKey(WriteNew(_next)));

    public void Settle(RootKey key)
    {
        if (!File.Exists(_next)) return;
        try
        {
            if (ReadIf(path, key.Check) is { } present)
            {
                // A change that never began left it.
                present.Dispose();
                File.Delete(_next);
            }
            else if (ReadIf(_next, key.Check) is { } next)
            {
                next.Dispose();
                File.Move(_next, path, overwrite: true);
            }
            else return;
            Posix.SyncDirectory(Path.GetDirectoryName(path)!);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the new master key {_next} can't be put in the place of {path}: {e.Message}. Both are kept; make the directory writable and start the server again", e);
        }
    }

    public LockstepException Refusal() => new(ErrorCode.Conflict, File.Exists(path)
        ? $"the master key from {path} is not the one this database was made with. Put the right key there, or point the setting masterKey at it; nothing is lost, and nothing was changed"
        : $"the master key file {path} is missing, and this database was made with one. Put it back from its copy, or point the setting masterKey at it; without it the secrets can't be read");

    public void Dispose()
    {
    }

    // The file is on disk, name and all, before this returns: what is encrypted under the key must never outlive it.
    private RootKey WriteNew(string target)
    {
        var key = RootKey.New();
        try
        {
            var directory = Path.GetDirectoryName(path)!;
            DataDirectory.Create(directory);
            OwnersFile.Replace(target, file =>
            {
                Span<byte> text = stackalloc byte[RootKey.TextLength + 1];
                key.Export(text);
                text[^1] = (byte)'\n';
                RandomAccess.Write(file.SafeFileHandle, text, 0);
                CryptographicOperations.ZeroMemory(text);
            }, overwrite: target == _next);
            return key;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            key.Dispose();
            throw new LockstepException(ErrorCode.Unavailable, $"the master key file {target} can't be made: {e.Message}{(target == _next ? " Where the server may not write, put a new key elsewhere, point masterKey at it, name this one with masterKey.previous, and restart the server" : "")}", e);
        }
    }

    private static RootKey? ReadIf(string file, byte[] check)
    {
        if (!File.Exists(file)) return null;
        var key = Read(file);
        if (key.Is(check)) return key;
        key.Dispose();
        return null;
    }

    private static RootKey Read(string file)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            // Asked of the open file, so that nobody swaps it between the question and the reading.
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(stream.SafeFileHandle) & Others) != UnixFileMode.None)
                throw Refused(file, "can be read or changed by other users. Run chmod 600 on it; if anyone may have read it, make new secrets");
            if (new FileInfo(file).LinkTarget is not null && Posix.IsForeign(stream.SafeFileHandle))
                throw Refused(file, "is a link to a file of another user. Put a file of your own there");
            Span<byte> buffer = stackalloc byte[128];
            var count = stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            var key = count == buffer.Length ? null : RootKey.Parse(buffer[..count]);
            CryptographicOperations.ZeroMemory(buffer);
            return key ?? throw Refused(file, "does not hold a master key: it must be 32 bytes in base64. Put the right file back from its copy");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Conflict, $"the master key file {file} can't be read: {e.Message}", e);
        }
    }

    private static LockstepException Refused(string file, string why) => new(ErrorCode.Conflict, $"the master key file {file} {why}");
}
