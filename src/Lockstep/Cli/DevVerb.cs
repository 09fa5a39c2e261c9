using System.CommandLine;
using System.Net;
using System.Net.Sockets;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Settings;

namespace Lockstep.Cli;

/// <summary><c>lockstep dev</c>: everything embedded in <c>./.lockstep</c>, with a sample to try.</summary>
internal static class DevVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var command = new Verb("dev", "Everything embedded in ./.lockstep, with a sample repository, for trying and for development",
            "lockstep dev", "lockstep dev --listen http://127.0.0.1:8400")
        {
            Details = """
                It makes .lockstep/ in the working directory (delete that to start over), and leaves its address and an admin token there,
                where the other verbs find them in this directory and below. Stop it with Ctrl-C.
                """,
        };
        var listen = new Option<string?>("--listen") { Description = "Where to listen [http://127.0.0.1:7400, or a free port when that is taken]", HelpName = "URL" };
        command.Add(listen);
        globals.Action(command, (session, cancellationToken) => RunAsync(session, session.Get(listen), cancellationToken));
        return command;
    }

    private static async Task RunAsync(Session session, string? listen, CancellationToken cancellationToken)
    {
        using var stop = new StopSignals(cancellationToken);
        var home = DevHome.Make(Directory.GetCurrentDirectory());
        using var loggers = Logging.Plain();
        var options = Options(home, listen);
        var isNew = !File.Exists(home.TokenPath);
        if (isNew)
        {
            await using var data = await DataStore.OpenAsync(options, loggers, TimeProvider.System, stop.Token);
            home.WriteToken(await data.AdminTokenAsync("dev", roll: true, TimeProvider.System, stop.Token));
        }
        await using var server = await LockstepServer.StartAsync(options, loggers, TimeProvider.System, stop.Token);
        await DevSample.LoadAsync(server, options.Config.Branch, stop.Token);
        home.WriteAddress(server.Address);
        try
        {
            Announce(session, home, server);
            await stop.WaitAsync();
        }
        finally
        {
            // Whoever takes the port next must not be sent the token.
            home.DeleteAddress();
        }
    }

    private static ServerOptions Options(DevHome home, string? listen)
    {
        ListenAddress? chosen = null;
        if (listen is not null && (!ListenAddress.TryParse(listen, out chosen) || !chosen.IsLoopback || chosen.Https))
            throw new LockstepException(ErrorCode.BadRequest, $"--listen: '{listen}' is not a loopback address such as http://127.0.0.1:7400; for others use `lockstep serve`");
        var data = home.DataPath;
        return new ServerOptions
        {
            Data = data,
            MasterKey = new MasterKeyOptions { File = Path.Combine(data, "master.key") },
            Listen = chosen ?? FreeOr(7400),
            Management = FreeOr(7401),
            // Nobody waits for the embedded repository's push.
            Config = new ConfigOptions { Refresh = TimeSpan.FromSeconds(1) },
        };
    }

    private static ListenAddress FreeOr(int port)
    {
        using var probe = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        probe.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        try
        {
            probe.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return ListenAddress.Loopback(port);
        }
        catch (SocketException)
        {
            return ListenAddress.Loopback(0);
        }
    }

    private static void Announce(Session session, DevHome home, LockstepServer server)
    {
        var program = ProgramName.ForShell();
        string[] commands =
        [
            $"{program} config get -s shop -e development",
            $"{program} run -s shop -e development -- sh -c 'echo \"$SHOP_GREETING, db user $DB_USERNAME\"'",
            $"echo '{{\"username\":\"shop\",\"password\":\"changed\"}}' | {program} secret set shop/db",
            $"{program} audit tail",
        ];
        var started = new DevStarted(server.Address, server.ManagementAddress, home.TokenPath, server.Repository.Directory, commands);
        session.Output.Result(started, CliJson.Default.DevStarted, text =>
        {
            text.WriteLine($"Lockstep is ready at {started.Address} (health and metrics: {started.Management})");
            text.WriteLine($"An admin token is in {started.TokenFile}; commands run in this directory find it.");
            text.WriteLine();
            text.WriteLine("Try, in another terminal in this directory:");
            foreach (var command in commands) text.WriteLine("  " + command);
            text.WriteLine();
            text.WriteLine($"The sample's files: git clone {started.Repository} — what you push is live within a second.");
            text.WriteLine($"Or from {started.Address}/git/config.git, with the token as the password: there a push is checked first, and live when it returns.");
            text.WriteLine("Stop with Ctrl-C.");
        });
        session.Output.Text.Flush();
    }
}

/// <summary>What <c>dev --json</c> says when it is ready.</summary>
internal sealed record DevStarted(string Address, string Management, string TokenFile, string Repository, IReadOnlyList<string> Commands);
