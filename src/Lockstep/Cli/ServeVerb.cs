using System.CommandLine;
using Lockstep.Server;
using Microsoft.Extensions.Logging;

namespace Lockstep.Cli;

/// <summary><c>lockstep serve</c>: the server in the foreground, until SIGTERM or Ctrl-C.</summary>
internal static partial class ServeVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var command = new Verb("serve", "The server, in the foreground",
            "lockstep serve --config /etc/lockstep/server.yaml", "LOCKSTEP_CONFIG__URL=https://git.example/config.git lockstep serve")
        {
            Details = """
                It logs JSON lines to stdout and ends cleanly on SIGTERM or Ctrl-C.
                Run `lockstep init` once before, for the first admin token.
                """,
        };
        var flags = new ServerFlags(command);
        globals.Action(command, (session, cancellationToken) => ServeAsync(flags.Load(session), cancellationToken));
        return command;
    }

    private static async Task ServeAsync(Settings.ServerOptions options, CancellationToken cancellationToken)
    {
        using var stop = new StopSignals(cancellationToken);
        using var loggers = Logging.Json();
        await using var server = await LockstepServer.StartAsync(options, loggers, TimeProvider.System, stop.Token);
        var log = loggers.CreateLogger<LockstepServer>();
        LogSettings(log, options);
        LogListening(log, server.Address, server.ManagementAddress, server.Gate.Lane.Live.Release.Number);
        await stop.WaitAsync();
        LogStopping(log);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Settings, without what is secret in them:\n{Settings}")]
    private static partial void LogSettings(ILogger log, Settings.ServerOptions settings);

    [LoggerMessage(Level = LogLevel.Information, Message = "Listening on {Address}, management on {Management}, at release {Release}")]
    private static partial void LogListening(ILogger log, string address, string management, long release);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping: readiness is refused, and requests under way finish")]
    private static partial void LogStopping(ILogger log);
}
