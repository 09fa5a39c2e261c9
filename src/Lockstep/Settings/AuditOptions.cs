namespace Lockstep.Settings;

/// <summary>Where the record goes beside the database, and how long it is kept (<c>audit:</c>).</summary>
internal sealed record AuditOptions
{
    public const long SmallestFile = 1024 * 1024;

    /// <summary>A file that gets every entry as a line (<c>audit.file</c>); null: none.</summary>
    public string? File { get; init; }

    /// <summary>The size in bytes from which on the file is put aside and a new one begun (<c>audit.maxFileSize</c>).</summary>
    public long MaxFileSize { get; init; } = 256L * 1024 * 1024;

    /// <summary>How many files that were put aside are kept (<c>audit.keepFiles</c>); 0: all.</summary>
    public int KeepFiles { get; init; }

    /// <summary>Whether standard output gets every entry as a line (<c>audit.stdout</c>).</summary>
    public bool Stdout { get; init; }

    /// <summary>The file of the checkpoints (<c>audit.checkpoints</c>); null: <c>audit.checkpoints</c> in the data directory.</summary>
    public string? Checkpoints { get; init; }

    /// <summary>How old entries get before they are deleted (<c>audit.retention</c>).</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromDays(400);
}
