using System.Security.Cryptography;
using Lockstep.Access;
using Lockstep.Client;
using Lockstep.Secrets;
using Lockstep.Storage;
using Lockstep.Storage.Backup;

namespace Lockstep.Gate;

internal sealed partial class Gate
{
    /// <summary>A backup that is being made, in the data directory.</summary>
    public const string SpoolName = "backup.spool";

    // Below this a backup gives up: what else the server writes goes first.
    private const long LeastFreeBytes = 128L * 1024 * 1024;

    private static readonly TimeSpan s_longestBackup = TimeSpan.FromHours(1);

    /// <summary>
    /// A backup of one release: all tables as one transaction sees them, and, of an embedded repository, what its refs name after that transaction began. It is
    /// made in a file beside the data, encrypted, so that nobody's slowness holds the transaction; it is gone when the result is disposed of, which others wait for.
    /// </summary>
    /// <exception cref="LockstepException">conflict while another one or a change of the master key is under way; unavailable without the disk space.</exception>
    public async Task<Backup> BackupAsync(CallContext call, CancellationToken cancellationToken)
    {
        await RequireAsync(call, Permission.Admin, Subject.Nothing, "backup.create");
        var turn = TakeKeys();
        FileStream? file = null;
        try
        {
            if (MasterKey.IsChanging) throw Unfinished();
            await RecordDisclosureAsync(call, Entry(call, "backup.create", null), cancellationToken);
            using var limit = new CancellationTokenSource(s_longestBackup, Time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
            file = Spool();
            var release = await WriteBackupAsync(file, both.Token);
            file.Position = 0;
            return new Backup(file, release, turn);
        }
        catch (Exception e)
        {
            file?.Dispose();
            turn.Dispose();
            if (e is IOException or UnauthorizedAccessException) throw new LockstepException(ErrorCode.Unavailable, $"the backup can't be written to {Options.Data}: {e.Message}", e);
            if (e is OperationCanceledException && !cancellationToken.IsCancellationRequested) throw new LockstepException(ErrorCode.Unavailable, $"the backup took longer than {Durations.Format(s_longestBackup)} and was given up", e);
            throw;
        }
    }

    private async Task<long> WriteBackupAsync(FileStream file, CancellationToken cancellationToken)
    {
        var backupKey = MasterKey.Derive("backup");
        byte[] fileKey = [];
        SealingStream? sealing = null;
        BackupWriter? writer = null;
        try
        {
            var release = await Database.SnapshotAsync(session =>
            {
                var header = HeaderOf(session);
                fileKey = header.FileKey(backupKey);
                sealing = new SealingStream(file, fileKey, header.WriteTo(file)) { Written = CheckSpace };
                writer = new BackupWriter(sealing);
                writer.Tables(session, header.Tables, cancellationToken);
                return header.Release;
            }, cancellationToken);
            // After the snapshot: what it names is there, and is kept.
            if (Repository.IsEmbedded) await Repository.BundleAsync(part => writer!.Part(part.Span), cancellationToken);
            writer!.Finish();
            sealing!.Finish();
            await file.FlushAsync(cancellationToken);
            return release;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(backupKey);
            CryptographicOperations.ZeroMemory(fileKey);
            writer?.Dispose();
            if (sealing is not null) await sealing.DisposeAsync();
        }
    }

    private BackupHeader HeaderOf(SqlSession session)
    {
        // A change that began, and of which it was not known that it did.
        if (MasterKeyState.IsChanging(session)) throw Unfinished();
        return new BackupHeader
        {
            Tables = (int)Meta.GetNumber(session, "format")!.Value,
            CreatedAt = Time.GetUtcNow(),
            Release = Counters.Current(session, "release"),
            Epoch = Meta.GetText(session, "epoch")!,
            DatabaseId = MasterKeyState.IdOf(session)!,
            KeyCheck = MasterKey.Check,
            SealedKey = MasterKey.Sealed,
            Salt = RandomNumberGenerator.GetBytes(32),
        };
    }

    private FileStream Spool()
    {
        var options = new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.ReadWrite,
            Share = FileShare.None,
            Options = FileOptions.DeleteOnClose | FileOptions.Asynchronous,
        };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(Path.Combine(Options.Data, SpoolName), options);
    }

    private void CheckSpace()
    {
        if (new DriveInfo(Options.Data).AvailableFreeSpace < LeastFreeBytes)
            throw new LockstepException(ErrorCode.Unavailable, $"there is not enough disk space at {Options.Data} to make a backup; it takes about as much as the database and the repository");
    }

    private static LockstepException Unfinished() =>
        new(ErrorCode.Conflict, "a change of the master key is not finished, so that a backup would need two keys; run lockstep rekey to finish it, then try again");
}

/// <summary>A backup to be read once.</summary>
internal sealed class Backup(FileStream file, long release, IDisposable turn) : IAsyncDisposable
{
    public FileStream File { get; } = file;

    public long Release { get; } = release;

    public async ValueTask DisposeAsync()
    {
        await File.DisposeAsync();
        turn.Dispose();
    }
}
