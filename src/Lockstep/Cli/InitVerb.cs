using System.CommandLine;
using Lockstep.Server;

namespace Lockstep.Cli;

/// <summary><c>lockstep init</c>: what a server needs before its first start.</summary>
internal static class InitVerb
{
    public const string AdminName = "admin";

    public static Command Build(GlobalOptions globals)
    {
        var command = new Verb("init", "Make the master key, the database and the first admin token",
            "lockstep init --data /var/lib/lockstep --out admin.token", "lockstep init --config server.yaml --json")
        {
            Details = """
                The token is printed once and kept nowhere. The server must not be running.
                """,
        };
        var flags = new ServerFlags(command);
        var roll = new Option<bool>("--roll") { Description = "Give the token 'admin' a new secret when every admin token is lost; the old one is dead at once" };
        var outFile = PrivateFile.Option();
        command.Add(roll);
        command.Add(outFile);
        globals.Action(command, async (session, cancellationToken) =>
        {
            var options = flags.Load(session);
            using var file = session.Get(outFile) is { } path ? PrivateFile.Create(path) : null;
            using var loggers = Logging.Plain();
            await using var data = await DataStore.OpenAsync(options, loggers, TimeProvider.System, cancellationToken);
            var token = await data.AdminTokenAsync(AdminName, session.Get(roll), TimeProvider.System, cancellationToken);
            if (file is not null)
            {
                PrivateFile.WriteLine(file, token);
                token = file.Name;
            }
            session.Output.Result(new InitResult(token), CliJson.Default.InitResult, text =>
            {
                text.WriteLine(token);
                session.Output.Remark($"{(file is null ? "this admin token is shown once" : "the admin token is in that file")}; the data is in {options.Data}");
                if (options.MasterKey.File is { } key) session.Output.Remark($"the master key is {key}: without it no secret can be read again. Keep a copy elsewhere");
            });
        });
        return command;
    }
}

internal sealed record InitResult(string Token);
