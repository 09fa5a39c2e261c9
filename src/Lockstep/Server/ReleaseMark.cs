using System.Globalization;
using System.Text;
using Lockstep.Releases;
using Lockstep.Settings;
using Lockstep.Storage;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>
/// Notes the newest release beside the database, in <c>release.mark</c>. A database that is put back from a backup is found by it to have gone back, and
/// starts a new epoch, so that no client takes a number it has seen for one that means something else now. A database of this directory's own without its mark
/// starts one too: who puts back a whole directory leaves the mark out.
/// </summary>
internal sealed partial class ReleaseMark : IDisposable
{
    private const string FileName = "release.mark";
    private const int MaxLength = 128;

    private readonly ReleaseLane _lane;
    private readonly FileStream _file;
    private readonly string _epoch;
    private readonly Lock _lock = new();
    private long _noted;
    private long _length;

    private ReleaseMark(ReleaseLane lane, FileStream file, string epoch)
    {
        (_lane, _file, _epoch) = (lane, file, epoch);
        _length = file.Length;
        lane.Swapped += Note;
        Note();
    }

    /// <summary>Gives the database a new epoch when the mark does not show that it has gone on from where it was.</summary>
    public static async Task CheckAsync(ServerOptions options, Database database, ReleaseState newest, ILogger<ReleaseMark> log, CancellationToken cancellationToken)
    {
        if (newest.Number == 0) return;
        var marked = await ReadAsync(Path.Combine(options.Data, FileName), database.Epoch, cancellationToken);
        // Of a database that others use too, a directory may know nothing yet.
        if (marked <= newest.Number || (marked is null && options.Database is not null)) return;
        await database.RenewEpochAsync(cancellationToken);
        if (marked is { } number) LogWentBack(log, newest.Number, number);
        else LogUnknown(log, newest.Number);
    }

    // Null: it is not there, torn, or of another history.
    private static async Task<long?> ReadAsync(string path, string epoch, CancellationToken cancellationToken)
    {
        if (!File.Exists(path) || new FileInfo(path).Length > MaxLength) return null;
        var words = (await File.ReadAllTextAsync(path, cancellationToken)).Split(' ', StringSplitOptions.TrimEntries);
        return words.Length == 2 && words[0] == epoch && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out var marked) ? marked : null;
    }

    /// <summary>Writes the mark from now on, whenever there is a new release.</summary>
    public static ReleaseMark Start(string data, Database database, ReleaseLane lane) =>
        new(lane, new FileStream(Path.Combine(data, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read, bufferSize: 0), database.Epoch);

    public void Dispose()
    {
        _lane.Swapped -= Note;
        _file.Dispose();
    }

    // After the commit, so that the mark is never ahead of a database that nobody put back. Not flushed: lost with the power, it is merely older.
    private void Note()
    {
        lock (_lock)
        {
            var release = _lane.Live.Release.Number;
            if (release <= _noted) return;
            _noted = release;
            var text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{_epoch} {release}\n"));
            try
            {
                RandomAccess.Write(_file.SafeFileHandle, text, 0);
                // Only the mark that was found can be longer.
                if (_length > text.Length) RandomAccess.SetLength(_file.SafeFileHandle, text.Length);
                _length = text.Length;
            }
            catch (IOException)
            {
                // A full disk: the mark stays behind, and readiness tells of the disk.
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "There is no mark of how far the database at release {Release} was before: a new epoch begins")]
    private static partial void LogUnknown(ILogger log, long release);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The database is at release {Release}, and was at {Marked} before: it was put back from a backup; a new epoch begins")]
    private static partial void LogWentBack(ILogger log, long release, long marked);
}
