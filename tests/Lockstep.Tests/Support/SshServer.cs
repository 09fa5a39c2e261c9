using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace Lockstep.Tests.Support;

/// <summary>
/// A real <c>sshd</c> of whoever runs the tests, on a free port of the loopback address, that lets one key in. Where it is not installed: a failure when CI=true,
/// else <see cref="Missing"/> says what to install and tests end early.
/// </summary>
internal sealed class SshServer : IDisposable
{
    private static readonly string? s_program = ((string[])["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]).FirstOrDefault(File.Exists);

    private readonly TempDirectory _root = new();
    private readonly Process _process;

    private SshServer()
    {
        // Not the user's to make otherwise; sshd of root will not start without it.
        if (Environment.UserName == "root") Directory.CreateDirectory("/run/sshd");
        foreach (var name in new[] { "host", "login" }) MakeKey(name);
        Authorize("login");
        for (var attempt = 0; ; attempt++)
        {
            Port = FreePort();
            _process = Start();
            if (Answers(_process, Port)) break;
            var log = _process.StandardError.ReadToEnd();
            _process.Dispose();
            if (attempt == 3) throw new InvalidOperationException("sshd does not start: " + log);
        }
        _process.ErrorDataReceived += (_, _) => { };
        _process.BeginErrorReadLine();
    }

    /// <summary>Null when there is one; else why not, for a line in the output.</summary>
    public static string? Missing => s_program is not null ? null
        : Environment.GetEnvironmentVariable("CI") == "true" ? throw new InvalidOperationException("sshd is not installed, and CI=true: install it (Debian: apt-get install openssh-server).")
        : "SKIPPED: sshd is not installed (Debian: apt-get install openssh-server)";

    public int Port { get; private set; }

    /// <summary>The private key that is let in.</summary>
    public string Key => _root.File("login");

    /// <summary>What a client's known_hosts says of this server.</summary>
    public string KnownHost => string.Create(CultureInfo.InvariantCulture, $"[127.0.0.1]:{Port} {string.Join(' ', File.ReadAllText(_root.File("host.pub")).Split(' ').Take(2))}\n");

    public static SshServer Run() => new();

    public string Url(string path) => string.Create(CultureInfo.InvariantCulture, $"ssh://{Environment.UserName}@127.0.0.1:{Port}{path}");

    /// <summary>Makes another key pair and answers the private one's path.</summary>
    public string MakeKey(string name)
    {
        using var made = Process.Start(new ProcessStartInfo("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", _root.File(name)]) { RedirectStandardOutput = true })!;
        made.WaitForExit();
        return made.ExitCode == 0 ? _root.File(name) : throw new InvalidOperationException("ssh-keygen failed");
    }

    /// <summary>Lets this key in and no other.</summary>
    public void Authorize(string name) => File.Copy(_root.File(name + ".pub"), _root.File("authorized"), overwrite: true);

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
        _root.Dispose();
    }

    private Process Start()
    {
        File.WriteAllText(_root.File("config"), $"""
            Port {Port}
            ListenAddress 127.0.0.1
            HostKey {_root.File("host")}
            PidFile none
            AuthorizedKeysFile {_root.File("authorized")}
            StrictModes no
            UsePAM no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            PermitRootLogin prohibit-password
            AllowTcpForwarding no

            """);
        return Process.Start(new ProcessStartInfo(s_program!, ["-D", "-e", "-f", _root.File("config")]) { RedirectStandardError = true })!;
    }

    private static bool Answers(Process process, int port)
    {
        var clock = Stopwatch.StartNew();
        while (!process.HasExited && clock.Elapsed < TimeSpan.FromSeconds(30))
        {
            try
            {
                using var client = new TcpClient();
                client.Connect(IPAddress.Loopback, port);
                return true;
            }
            catch (SocketException)
            {
                Thread.Yield();
            }
        }
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        process.WaitForExit();
        return false;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
