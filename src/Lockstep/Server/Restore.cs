using System.Globalization;
using System.Security.Cryptography;
using Lockstep.Access;
using Lockstep.Audit;
using Lockstep.Client;
using Lockstep.Config.Git;
using Lockstep.Releases;
using Lockstep.Secrets;
using Lockstep.Settings;
using Lockstep.Storage;
using Lockstep.Storage.Backup;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>
/// Makes the data of a server from a backup, while no server runs on them. Everything is restored and checked in a directory of its own inside the data directory, and moved
/// into place in the end, the database last, also when that is a PostgreSQL; what fails leaves nothing behind.
/// </summary>
internal sealed class Restore(ServerOptions options, ILoggerFactory loggers, TimeProvider time)
{
    private const string PlaceName = ".restoring";
    private const string Repository = "config.git";

    private static readonly string[] s_lock = ["lockstep.lock", "lockstep.pid"];

    private readonly string _data = Path.GetFullPath(options.Data);
    private readonly string _place = Path.Combine(Path.GetFullPath(options.Data), PlaceName);
    private bool _moved;

    /// <summary>Restores <paramref name="path"/>.</summary>
    /// <param name="path">The backup.</param>
    /// <param name="acceptDamage">Whether a record or keys that were damaged before the backup was made are restored as they are.</param>
    /// <param name="cancellationToken">Ends it, with nothing left behind.</param>
    /// <exception cref="LockstepException">Why it can't be; nothing was restored.</exception>
    public async Task<RestoreReport> RunAsync(string path, bool acceptDamage, CancellationToken cancellationToken)
    {
        await using var file = Open(path);
        var (header, binding) = BackupHeader.ReadFrom(file);
        if (header.Tables > Migrator.Newest)
            throw new LockstepException(ErrorCode.Conflict, string.Create(CultureInfo.InvariantCulture, $"the backup's tables have format {header.Tables}; this program knows formats up to {Migrator.Newest}. Restore it with the program that made it, or a newer one"));
        using var master = await MasterKey.FindAsync(options.MasterKey, _data, new MasterKeyState(header.KeyCheck, null, header.SealedKey, null, header.DatabaseId), cancellationToken);
        var existed = Directory.Exists(_data);
        CheckEmpty();
        var backupKey = master.Derive("backup");
        var key = header.FileKey(backupKey);
        CryptographicOperations.ZeroMemory(backupKey);
        var done = false;
        // Outside: what another process holds is not cleaned up.
        var held = DataDirectory.Lock(_data, time);
        try
        {
            Remove(_place);
            DataDirectory.Create(_place);
            var start = file.Position;
            Stream Opened()
            {
                file.Position = start;
                return new OpeningStream(file, key, binding);
            }

            var report = await RunAsync(header, master, Opened, acceptDamage, cancellationToken);
            done = true;
            return report;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(key);
            Remove(_place);
            held.Dispose();
            if (!done) CleanUp(existed);
        }
    }

    private async Task<RestoreReport> RunAsync(BackupHeader header, MasterKey master, Func<Stream> open, bool acceptDamage, CancellationToken cancellationToken)
    {
        var bundle = Path.Combine(_place, "config.bundle");
        IReadOnlyDictionary<string, long> rows = new Dictionary<string, long>(StringComparer.Ordinal);
        using (var stream = open())
        using (var reader = new BackupReader(stream))
        using (var file = new FileStream(bundle, FileMode.CreateNew, FileAccess.Write))
        {
            await Database.FillAsync((_place, null), time, header.Tables,
                session => rows = reader.LoadInto(session, header.Tables, file, cancellationToken), _ => { }, cancellationToken);
        }
        var damage = new List<string>();
        AuditEntry entry;
        await using (var database = await Database.OpenAsync(_place, null, loggers, time, cancellationToken))
        {
            var keys = await database.WriteAsync(session => ServerKeys.Open(session, new KeyRing(master)), cancellationToken);
            var audit = new AuditLog(database, keys.Audit, "local");
            damage.AddRange(await DamageAsync(database, audit, master, cancellationToken));
            if (damage.Count > 0 && !acceptDamage)
                throw new LockstepException(ErrorCode.Conflict, $"the backup is whole, but what it was made of was not: {string.Join("; ", damage)}. Nothing was restored; --accept-damage restores it as it is");
            var newest = await new ReleaseStore(database).NewestAsync(cancellationToken);
            await UnpackAsync(bundle, newest, cancellationToken);
            entry = Entry(header, newest.Number);
            if (options.Database is null) await database.WriteAsync(session => { End(session, audit, entry); return true; }, cancellationToken);
            MoveRepository();
            if (options.Database is not null) await FillPostgresAsync(options.Database, header, (open, audit, entry), cancellationToken);
        }
        if (options.Database is null) MoveDatabase();
        return new RestoreReport
        {
            Data = options.Database is null ? _data : "the PostgreSQL database",
            Release = header.Release,
            CreatedAt = header.CreatedAt,
            Rows = rows.Values.Sum(),
            Secrets = rows.GetValueOrDefault("secrets"),
            Tokens = rows.GetValueOrDefault("tokens"),
            Repository = Directory.Exists(Path.Combine(_data, Repository)) ? Path.Combine(_data, Repository) : null,
            Damage = damage,
        };
    }

    // The same file once more: what was checked is what is loaded, as each chunk is bound to its place.
    private async Task FillPostgresAsync(string url, BackupHeader header, (Func<Stream> Open, AuditLog Audit, AuditEntry Entry) parts, CancellationToken cancellationToken)
    {
        using var stream = parts.Open();
        using var reader = new BackupReader(stream);
        await Database.FillAsync((_data, url), time, header.Tables,
            session => reader.LoadInto(session, header.Tables, null, cancellationToken),
            session => End(session, parts.Audit, parts.Entry), cancellationToken);
    }

    // A new history, and the record says so.
    private static void End(SqlSession session, AuditLog audit, AuditEntry entry)
    {
        Database.NewEpoch(session);
        audit.Append(session, entry);
    }

    private AuditEntry Entry(BackupHeader header, long release)
    {
        var self = Caller.System("restore");
        return new AuditEntry
        {
            At = time.GetUtcNow(),
            Action = "backup.restore",
            Decision = AuditEntry.Allowed,
            Actor = self.Name,
            TokenId = self.TokenId,
            Route = "restore",
            Release = release,
            Detail = $"from the backup of {header.CreatedAt.UtcDateTime:yyyy-MM-ddTHH:mm:ssZ}, epoch {header.Epoch}",
        };
    }

    private static async Task<List<string>> DamageAsync(Database database, AuditLog audit, MasterKey master, CancellationToken cancellationToken)
    {
        var damage = new List<string>();
        var verified = await audit.VerifyAsync(cancellationToken);
        if (!verified.Valid) damage.Add($"the record is not as it was written ({verified.FirstBad?.Node} {verified.FirstBad?.Seq.ToString(CultureInfo.InvariantCulture)}: {verified.FirstBad?.Reason})");
        var closed = await database.ReadAsync(session => WrappedKeys.Damaged(session, master), cancellationToken);
        if (closed.Count > 0) damage.Add($"{closed.Count.ToString(CultureInfo.InvariantCulture)} keys do not open under the master key ({string.Join(", ", closed.Take(5))}{(closed.Count > 5 ? ", …" : "")})");
        return damage;
    }

    private async Task UnpackAsync(string bundle, ReleaseState newest, CancellationToken cancellationToken)
    {
        // A server with a remote has none, and fetches.
        var isEmpty = new FileInfo(bundle).Length == 0;
        if (isEmpty && options.Config.Url is not null) return;
        var git = new GitProcess(Path.Combine(_place, Repository), null, GitLimits.Default, time);
        await GitBundle.UnpackAsync(git, options.Config.Branch, isEmpty ? null : bundle, isEmpty ? new Dictionary<string, string>(StringComparer.Ordinal) : newest.Refs, cancellationToken);
    }

    private void MoveRepository()
    {
        var repository = Path.Combine(_place, Repository);
        if (!Directory.Exists(repository)) return;
        Directory.Move(repository, Path.Combine(_data, Repository));
        _moved = true;
        Posix.SyncDirectory(_data);
    }

    // SQLite says nothing when it could not bring its log into the file as it closed it: then the log is still there, and the rows are in that.
    private void MoveDatabase()
    {
        var made = Path.Combine(_place, Database.FileName);
        if (new FileInfo(made + "-wal") is { Exists: true, Length: > 0 })
            throw new LockstepException(ErrorCode.Unavailable, $"the database could not be written out to {made}: look at the disk of {_data}, its free space and the kernel's log; nothing was restored");
        File.Move(made, Path.Combine(_data, Database.FileName));
        Posix.SyncDirectory(_data);
    }

    private void CheckEmpty()
    {
        if (!Directory.Exists(_data)) return;
        var keys = KeyFiles();
        foreach (var entry in Directory.EnumerateFileSystemEntries(_data))
        {
            // The key has to be there before; the rest is nobody's data.
            if (keys.Contains(entry) || entry == _place || Path.GetFileName(entry) == "lost+found" || s_lock.Contains(Path.GetFileName(entry))) continue;
            throw new LockstepException(ErrorCode.AlreadyExists, $"{_data} is not empty ({Path.GetFileName(entry)}); restore into a new directory, or move away what is there, so that nothing is lost");
        }
    }

    private HashSet<string> KeyFiles()
    {
        var files = new HashSet<string>(StringComparer.Ordinal);
        foreach (var file in new[] { options.MasterKey.File ?? Path.Combine(_data, "master.key"), options.MasterKey.Previous?.File })
        {
            if (file is null) continue;
            files.Add(Path.GetFullPath(file));
            files.Add(Path.GetFullPath(file) + ".next");
        }
        return files;
    }

    private void CleanUp(bool existed)
    {
        if (_moved) Remove(Path.Combine(_data, Repository));
        foreach (var name in s_lock) File.Delete(Path.Combine(_data, name));
        if (!existed && Directory.Exists(_data) && !Directory.EnumerateFileSystemEntries(_data).Any()) Directory.Delete(_data);
    }

    private static void Remove(string directory)
    {
        if (Directory.Exists(directory)) Directory.Delete(directory, recursive: true);
    }

    private static FileStream Open(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 256 * 1024);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new LockstepException(ErrorCode.NotFound, $"there is no file {path}", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be read: {e.Message}", e);
        }
    }
}

/// <summary>What was restored.</summary>
internal sealed record RestoreReport
{
    public required string Data { get; init; }

    public required long Release { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required long Rows { get; init; }

    public required long Secrets { get; init; }

    public required long Tokens { get; init; }

    /// <summary>The repository that was in the backup; null: there was none.</summary>
    public string? Repository { get; init; }

    /// <summary>What was damaged before the backup was made.</summary>
    public IReadOnlyList<string> Damage { get; init; } = [];
}
