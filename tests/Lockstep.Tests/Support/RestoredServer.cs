using Lockstep.Server;
using Lockstep.Settings;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Tests.Support;

/// <summary>Takes backups of a test server, and makes others of them.</summary>
internal static class RestoredServer
{
    /// <summary>A backup in a file; the answer holds its release.</summary>
    public static async Task<(string File, long Release)> BackupAsync(TestServer server, string name)
    {
        var answer = (await server.Admin.GetAsync("/v1/backup")).Ok();
        var file = server.Data.File(name);
        await File.WriteAllBytesAsync(file, answer.Body);
        return (file, long.Parse(answer.Header("Lockstep-Release")!, System.Globalization.CultureInfo.InvariantCulture));
    }

    /// <summary>Restores into a new place with the server's present key, or another one.</summary>
    public static async Task<(TestServer Server, RestoreReport Report)> RestoreAsync(TestServer from, string file, string? database = null, byte[]? key = null, bool acceptDamage = false)
    {
        var server = TestServer.Create("", o => o with { Config = from.Options.Config, MasterKey = o.MasterKey }, database: database);
        try
        {
            Directory.CreateDirectory(server.Options.Data);
            var path = Path.Combine(server.Options.Data, "master.key");
            await File.WriteAllBytesAsync(path, key ?? await File.ReadAllBytesAsync(Path.Combine(from.Options.Data, "master.key")));
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return (server, await RunAsync(server.Options, file, acceptDamage));
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    public static Task<RestoreReport> RunAsync(ServerOptions options, string file, bool acceptDamage = false) =>
        new Restore(options, NullLoggerFactory.Instance, TimeProvider.System).RunAsync(file, acceptDamage, CancellationToken.None);
}
