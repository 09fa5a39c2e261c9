using System.Globalization;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// A file of lines, one fsync for each group of them. A file that has grown to its size is renamed, with the number of its first entry and the time in the name, and a new one begun.
/// One that somebody else renamed or emptied is noticed by its length, before the next line is written. Nothing but whole lines that are on the disk is left in it.
/// </summary>
internal sealed class AuditFileSink(AuditOptions options, TimeProvider time) : IAuditSink
{
    private const string Stamp = "yyyyMMdd'T'HHmmss'Z'";

    private readonly string _path = options.File!;
    private FileStream? _file;
    private string _node = "";

    // What of the file is whole and on the disk, and which entries that is.
    private long _length;
    private long _first;
    private AuditTail _last = AuditChain.Start;

    public string Name => $"the file {_path}";

    public AuditTail Open(string node, AuditTail record)
    {
        _node = node;
        _file = OpenFile();
        CutTornLine(_file);
        TakeOver(_file);
        // Where a file was put aside a moment before the end, its lines are not to be written again.
        return _last = (_length > 0 ? AuditFileEnd.Last(_file, _length, node) : LastBeside()) ?? AuditChain.Start;
    }

    public void Write(ReadOnlyMemory<byte> lines, long first, AuditTail last)
    {
        try
        {
            if (_file is null) Reopen(afterFailure: true);
            else if (!IsInPlace()) Reopen(afterFailure: false);
            if (_length > 0 && _length + lines.Length > options.MaxFileSize) PutAside();
            if (_length == 0) _first = first;
            _file!.Position = _length;
            _file.Write(lines.Span);
            _file.Flush(flushToDisk: true);
            (_length, _last) = (_length + lines.Length, last);
        }
        catch
        {
            TakeBack();
            Close();
            throw;
        }
    }

    public void Dispose() => Close();

    // What a failed write left, so that nobody reads it; what can't be taken away now, is when the file is opened again.
    private void TakeBack()
    {
        try
        {
            if (_file is { } file && file.Length > _length) file.SetLength(_length);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The failure that led here is told.
        }
    }

    private void Reopen(bool afterFailure)
    {
        Close();
        var file = OpenFile();
        try
        {
            // What a failed write left is taken away, also where it looks whole: it may not be on the disk.
            if (afterFailure && file.Length > _length && (_length == 0 || AuditFileEnd.Last(file, _length, _node) is { } at && at.Seq == _last.Seq))
            {
                file.SetLength(_length);
                file.Flush(flushToDisk: true);
            }
            CutTornLine(file);
            TakeOver(file);
            _file = file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    // Statement order is important: a file is complete before its name says so, and the next one is begun under the old name.
    private void PutAside()
    {
        Close();
        var name = string.Create(CultureInfo.InvariantCulture, $"{_path}.{_first}-{time.GetUtcNow().UtcDateTime.ToString(Stamp, CultureInfo.InvariantCulture)}");
        while (File.Exists(name)) name += "+";
        File.Move(_path, name);
        _length = 0;
        Reopen(afterFailure: false);
        DeleteOldest();
    }

    private void DeleteOldest()
    {
        if (options.KeepFiles == 0) return;
        try
        {
            var aside = Beside().Select(f => (File: f, Order: OrderOf(f))).Where(f => f.Order is not null).OrderByDescending(f => f.Order).Skip(options.KeepFiles);
            foreach (var (file, _) in aside) File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // That there is one too many is no reason to disclose nothing; the next time it is tried again.
        }
    }

    // Time, then number: numbers begin anew with another database.
    private (string Time, long First)? OrderOf(string file)
    {
        var parts = Path.GetFileName(file)[(Path.GetFileName(_path).Length + 1)..].TrimEnd('+').Split('-');
        return parts.Length == 2 && long.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            && DateTime.TryParseExact(parts[1], Stamp, CultureInfo.InvariantCulture, DateTimeStyles.None, out _)
            ? (parts[1], first)
            : null;
    }

    // The pattern alone would find the file itself too.
    private IEnumerable<string> Beside() =>
        Directory.EnumerateFiles(Path.GetDirectoryName(_path)!, Path.GetFileName(_path) + ".*").Where(f => Path.GetFileName(f).Length > Path.GetFileName(_path).Length + 1);

    // Of the files that were put aside, here or by another program, the one that goes furthest.
    private AuditTail? LastBeside()
    {
        AuditTail? furthest = null;
        foreach (var name in Beside())
        {
            if (Client.FileGuard.RefusalToOpen(name) is not null) continue;
            try
            {
                using var file = new FileStream(name, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
                if (AuditFileEnd.Last(file, AuditFileEnd.WholeLines(file, file.Length), _node) is { } at && at.Seq > (furthest?.Seq ?? 0)) furthest = at;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // Not ours to read, or gone meanwhile: at worst lines are repeated.
            }
        }
        return furthest;
    }

    private bool IsInPlace() => new FileInfo(_path) is { Exists: true } there && there.Length == _length;

    private void TakeOver(FileStream file)
    {
        _length = file.Length;
        _first = _length == 0 ? 0 : AuditFileEnd.First(file, _node)?.Seq ?? 0;
    }

    private static void CutTornLine(FileStream file)
    {
        var whole = AuditFileEnd.WholeLines(file, file.Length);
        if (whole == file.Length) return;
        file.SetLength(whole);
        file.Flush(flushToDisk: true);
    }

    private FileStream OpenFile()
    {
        if (Client.FileGuard.RefusalToOpen(_path) is { } refusal) throw new IOException($"{_path} {refusal}");
        var isNew = !File.Exists(_path);
        var how = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 };
        if (!OperatingSystem.IsWindows()) how.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var file = new FileStream(_path, how);
        try
        {
            if (isNew) Posix.SyncDirectory(Path.GetDirectoryName(_path)!);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private void Close()
    {
        _file?.Dispose();
        _file = null;
    }
}
