using System.Globalization;

namespace Lockstep.Settings;

/// <summary>Reads <c>audit</c>.</summary>
internal static class AuditReader
{
    private const long LargestFile = 1L << 40;
    private const int MostFiles = 100_000;

    private static readonly TimeSpan s_shortestRetention = TimeSpan.FromDays(1);

    public static AuditOptions Read(SettingsReader root)
    {
        var section = root.Section("audit");
        var defaults = new AuditOptions();
        var options = new AuditOptions
        {
            File = section.Path("file"),
            MaxFileSize = Size(section, "maxFileSize", defaults.MaxFileSize),
            KeepFiles = Count(section, "keepFiles", defaults.KeepFiles),
            Stdout = section.Flag("stdout", defaults.Stdout),
            Checkpoints = section.Path("checkpoints"),
            Retention = section.Duration("retention", defaults.Retention, s_shortestRetention, Client.Durations.Max),
        };
        if (options.File is not null && options.File == options.Checkpoints) section.Fail("checkpoints", "is the same file as audit.file; they need one each");
        section.Done();
        return options;
    }

    /// <summary>A size as it is written in the settings.</summary>
    public static string Format(long size) =>
        size % (1L << 30) == 0 ? $"{size >> 30}GiB" : size % (1L << 20) == 0 ? $"{size >> 20}MiB" : size.ToString(CultureInfo.InvariantCulture);

    private static long Size(SettingsReader section, string key, long absent)
    {
        if (section.Text(key) is not { } text) return absent;
        var (digits, unit) = text switch
        {
            _ when text.EndsWith("KiB", StringComparison.Ordinal) => (text[..^3], 10),
            _ when text.EndsWith("MiB", StringComparison.Ordinal) => (text[..^3], 20),
            _ when text.EndsWith("GiB", StringComparison.Ordinal) => (text[..^3], 30),
            _ => (text, 0),
        };
        if (long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= LargestFile >> unit
            && number << unit >= AuditOptions.SmallestFile)
            return number << unit;
        section.Fail(key, "must be a size from 1MiB to 1024GiB, such as 256MiB");
        return absent;
    }

    private static int Count(SettingsReader section, string key, int absent)
    {
        if (section.Text(key) is not { } text) return absent;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= MostFiles) return number;
        section.Fail(key, $"must be a whole number from 0 (all) to {MostFiles}");
        return absent;
    }
}
