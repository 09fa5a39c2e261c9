using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// A file outside the database that says how far the record had come, and when: a line each, under an HMAC. Who cuts the record's end, or puts an older one back, does not have it. Old lines thin
/// out; those that do not fit are kept.
/// </summary>
internal sealed class AuditCheckpoints(string path, byte[] key, TimeProvider time)
{
    // Some 4,000 lines.
    private const int ThinAbove = 1024 * 1024;
    private const int MaxBytes = 16 * ThinAbove;
    private const int KeptWhole = 1000;
    private const int MaxUnreadable = 100;

    private readonly PatientDisk _disk = new(time);

    public string Path => path;

    /// <summary>The lines in their order; null stands for one that can't be read, or whose signature is wrong.</summary>
    /// <exception cref="LockstepException">unavailable when the file can't be read.</exception>
    public async Task<IReadOnlyList<SignedTail?>> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _disk.RunAsync<IReadOnlyList<SignedTail?>>(() => [.. Lines().Select(l => l.Tail)], cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"the checkpoints of the audit record can't be read: {e.Message}", e);
        }
    }

    /// <summary>Adds one, and makes it durable.</summary>
    /// <exception cref="LockstepException">unavailable when it can't be written.</exception>
    public async Task AddAsync(string node, AuditTail tail, DateTimeOffset at, CancellationToken cancellationToken)
    {
        try
        {
            await _disk.RunAsync(() => Add([.. SignedTail.Sign(key, node, tail, at).Serialize(), (byte)'\n']), cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Unavailable, $"no checkpoint of the audit record can be written: {e.Message}", e);
        }
    }

    private bool Add(byte[] line)
    {
        if (new FileInfo(path) is { Exists: true, Length: > ThinAbove }) Thin();
        using var file = Open(path, FileMode.OpenOrCreate);
        var isNew = file.Length == 0;
        if (file.Length > MaxBytes) throw new IOException($"{path} is too large, with lines that were not made by this server; put it aside");
        // What a crash left of a line goes.
        file.SetLength(AuditFileEnd.WholeLines(file, file.Length));
        file.Position = file.Length;
        file.Write(line);
        file.Flush(flushToDisk: true);
        if (isNew) Posix.SyncDirectory(System.IO.Path.GetDirectoryName(path)!);
        return true;
    }

    private List<(byte[] Text, SignedTail? Tail)> Lines()
    {
        if (Client.FileGuard.RefusalToOpen(path) is { } refusal) throw new IOException($"{path} {refusal}");
        if (!File.Exists(path)) return [];
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
        if (file.Length > MaxBytes) throw new IOException($"{path} is too large, with lines that were not made by this server");
        var text = new byte[AuditFileEnd.WholeLines(file, file.Length)];
        file.Position = 0;
        file.ReadExactly(text);
        var lines = new List<(byte[], SignedTail?)>();
        for (var rest = text.AsSpan(); !rest.IsEmpty;)
        {
            var line = rest[..rest.IndexOf((byte)'\n')];
            rest = rest[(line.Length + 1)..];
            lines.Add((line.ToArray(), SignedTail.Parse(line) is { } tail && tail.IsAuthentic(key) ? tail : null));
        }
        return lines;
    }

    // Every second one of the older ones goes, so that their distance grows with their age. The last before the record went back tells of that, and stays.
    private void Thin()
    {
        var lines = Lines();
        var kept = new MemoryStream();
        var (unreadable, odd) = (0, false);
        for (var i = 0; i < lines.Count; i++)
        {
            var (text, tail) = lines[i];
            var next = tail is null ? null : lines.Skip(i + 1).FirstOrDefault(l => l.Tail?.Node == tail.Node).Tail;
            odd = !odd;
            if (tail is null ? ++unreadable > MaxUnreadable : i < lines.Count - KeptWhole && i > 0 && odd && next is not null && next.Seq > tail.Seq) continue;
            kept.Write(text);
            kept.WriteByte((byte)'\n');
        }
        var temporary = path + ".new";
        File.Delete(temporary);
        using (var file = Open(temporary, FileMode.CreateNew))
        {
            file.Write(kept.GetBuffer().AsSpan(0, (int)kept.Length));
            file.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
        Posix.SyncDirectory(System.IO.Path.GetDirectoryName(path)!);
    }

    private static FileStream Open(string path, FileMode mode)
    {
        var how = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 };
        if (!OperatingSystem.IsWindows()) how.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        return new FileStream(path, how);
    }
}
