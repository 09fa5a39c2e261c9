using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace Lockstep.Tests.Support;

/// <summary>
/// A private PostgreSQL for the run of the tests: made by initdb on first use, ended with the test process, a new database for whoever asks.
/// Where PostgreSQL is not installed: a failure when CI=true, else <see cref="Missing"/> says what to install and tests end early.
/// </summary>
internal static class PostgresServer
{
    private static readonly Lazy<Server?> s_server = new(Start);
    private static int s_databases;

    /// <summary>Null when there is a server; else why not, for a line in the output.</summary>
    public static string? Missing => s_server.Value is null ? "SKIPPED: PostgreSQL is not installed (Debian: apt-get install postgresql)" : null;

    public static int Port => s_server.Value!.Port;

    /// <summary>A new, empty database; its URL as the setting <c>database:</c> takes it.</summary>
    public static async Task<string> CreateDatabaseAsync()
    {
        var name = "t" + Interlocked.Increment(ref s_databases).ToString(CultureInfo.InvariantCulture);
        await ExecuteAsync("postgres", $"CREATE DATABASE {name}");
        return $"postgres://postgres@127.0.0.1:{Port}/{name}";
    }

    /// <summary>Runs a statement as the superuser in <paramref name="database"/>: a name, or a URL that <see cref="CreateDatabaseAsync"/> gave.</summary>
    public static async Task ExecuteAsync(string database, string sql)
    {
        var name = database[(database.LastIndexOf('/') + 1)..];
        await using var connection = new NpgsqlConnection($"Host=127.0.0.1;Port={Port};Username=postgres;Database={name};Pooling=false");
        await connection.OpenAsync();
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }

    private static Server? Start()
    {
        var bin = FindBin();
        if (bin is null)
        {
            if (Environment.GetEnvironmentVariable("CI") == "true") throw new InvalidOperationException("PostgreSQL is not installed, and CI=true: install it (Debian: apt-get install postgresql).");
            return null;
        }
        var root = Directory.CreateTempSubdirectory("lockstep-pg-").FullName;
        var asRoot = Environment.UserName == "root";
        if (asRoot) Run("chown", "65534:65534", root);
        var data = Path.Combine(root, "data");
        Run([.. AsOwner(asRoot), Path.Combine(bin, "initdb"), "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync"]);
        for (var attempt = 0; ; attempt++)
        {
            var port = FreePort();
            try
            {
                // fsync stays on in the product; a test server need not survive power loss.
                Run([.. AsOwner(asRoot), Path.Combine(bin, "pg_ctl"), "-D", data, "-w", "-l", Path.Combine(root, "log"), "-o",
                    $"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={root} -c fsync=off -c max_connections=300", "start"]);
                EndWithThisProcess([.. AsOwner(asRoot), Path.Combine(bin, "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop"], root);
                return new Server(port);
            }
            catch (InvalidOperationException) when (attempt < 3)
            {
                // Somebody took the port between looking and starting.
            }
        }
    }

    private static string? FindBin()
    {
        var installed = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").OrderByDescending(d => int.TryParse(Path.GetFileName(d), out var v) ? v : 0).Select(d => Path.Combine(d, "bin"))
            : [];
        return installed.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator))
            .FirstOrDefault(d => File.Exists(Path.Combine(d, "initdb")));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    // PostgreSQL refuses to run as root.
    private static string[] AsOwner(bool asRoot) => asRoot ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];

    private static void Run(params string[] command)
    {
        // The server inherits its starter's pipes, so they are only read when the command failed: nothing is redirected here.
        var start = new ProcessStartInfo("sh") { WorkingDirectory = "/" };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec \"$@\" >/dev/null 2>&1 </dev/null");
        start.ArgumentList.Add("sh");
        foreach (var argument in command) start.ArgumentList.Add(argument);
        using var process = Process.Start(start)!;
        if (!process.WaitForExit(TimeSpan.FromSeconds(60)) || process.ExitCode != 0)
            throw new InvalidOperationException($"{string.Join(' ', command)} failed.");
    }

    // Outlives this process, however that ends, stops the server and takes its directory away.
    private static void EndWithThisProcess(string[] stop, string root)
    {
        var start = new ProcessStartInfo("sh") { WorkingDirectory = "/" };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add("exec >/dev/null 2>&1 </dev/null; parent=$1 root=$2; shift 2; while kill -0 $parent; do sleep 1; done; \"$@\"; rm -rf \"$root\"");
        foreach (var argument in (string[])["sh", Environment.ProcessId.ToString(CultureInfo.InvariantCulture), root, .. stop]) start.ArgumentList.Add(argument);
        Process.Start(start)!.Dispose();
    }

    private sealed record Server(int Port);
}
