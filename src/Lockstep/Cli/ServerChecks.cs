using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Cli;

/// <summary>What <c>lockstep doctor --config</c> looks at on the server's own machine. It opens nothing that a running server holds.</summary>
internal static class ServerChecks
{
    private const double FullShare = 0.8;

    public static IReadOnlyList<Finding> Run(Func<ServerOptions> load)
    {
        ServerOptions options;
        try
        {
            options = load();
        }
        catch (LockstepException e)
        {
            return [Finding.Failed("server.yaml", e.Message + string.Concat(e.Errors.Select(x => "; " + x)))];
        }
        return [Finding.Ok("server.yaml", "no mistake in it"), Data(options), Key(options), .. options.Database is null ? [Sqlite()] : Array.Empty<Finding>(), Disk(options)];
    }

    private static Finding Data(ServerOptions options)
    {
        if (!Directory.Exists(options.Data)) return Finding.Warning("data", $"{options.Data} does not exist yet", "run: lockstep init");
        if (OperatingSystem.IsWindows()) return Finding.Ok("data", options.Data);
        return (File.GetUnixFileMode(options.Data) & Others) == UnixFileMode.None
            ? Finding.Ok("data", options.Data)
            : Finding.Warning("data", $"{options.Data} is open to other users", $"chmod 700 {options.Data}");
    }

    private static Finding Key(ServerOptions options)
    {
        if (options.MasterKey.Env is { } name)
        {
            return Environment.GetEnvironmentVariable(name) is null
                ? Finding.Warning("master key", $"the variable {name} is not set here", "it must be where the server runs")
                : Finding.Ok("master key", $"in the variable {name}");
        }
        if (options.MasterKey.VaultTransit is { } vault) return Finding.Ok("master key", $"encrypted by the Transit key {vault.Mount}/{vault.Key} at {vault.Address}");
        var file = options.MasterKey.File!;
        if (!File.Exists(file)) return Finding.Warning("master key", $"{file} does not exist yet", "it is made by: lockstep init");
        return OperatingSystem.IsWindows() || (File.GetUnixFileMode(file) & Others) == UnixFileMode.None
            ? Finding.Ok("master key", file)
            : Finding.Failed("master key", $"{file} can be read by other users; the server refuses it", $"chmod 600 {file}, and think of the key as known to them");
    }

    private static Finding Sqlite()
    {
        try
        {
            return Finding.Ok("sqlite", SqliteNative.Version());
        }
        catch (LockstepException e)
        {
            return Finding.Failed("sqlite", e.Message);
        }
    }

    private static Finding Disk(ServerOptions options)
    {
        var existing = options.Data;
        while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent) existing = parent;
        var drive = new DriveInfo(existing);
        var used = 1 - ((double)drive.AvailableFreeSpace / drive.TotalSize);
        var text = $"{used:P0} of the disk of {options.Data} is used";
        return used < FullShare ? Finding.Ok("disk", text) : Finding.Warning("disk", text, "when it is full, nothing can be recorded and no secret is served");
    }

    private const UnixFileMode Others = UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
}
