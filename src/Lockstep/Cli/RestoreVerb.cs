using System.CommandLine;
using System.Globalization;
using Lockstep.Client;
using Lockstep.Server;
using Lockstep.Storage;
using Microsoft.Extensions.Logging.Abstractions;

namespace Lockstep.Cli;

/// <summary><c>lockstep restore</c>: the data of a server from a backup.</summary>
internal static class RestoreVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("restore", "Make the data of a server from a backup; no server runs on them meanwhile",
            "lockstep restore lockstep.backup --data /var/lib/lockstep",
            "lockstep restore lockstep.backup --config server.yaml",
            "lockstep restore lockstep.backup --data ./restored --database postgres://lockstep@db/lockstep")
        {
            Details = """
                The data directory may hold the master key, and nothing else; a PostgreSQL database must be empty. The key is the one that was in use when the
                backup was made: masterKey in the settings, by default master.key in the data directory.
                Everything is checked before anything is put in its place: every byte, the record's chain, that every key opens, the repository.
                What was revoked or rolled after the backup is alive again: roll or revoke it again before the server is reachable.
                """,
        };
        var file = new Argument<string>("FILE") { Description = "A file made by lockstep backup" };
        verb.Add(file);
        var flags = new ServerFlags(verb);
        var database = new Option<string?>("--database") { Description = "The PostgreSQL to restore into [setting database; SQLite in the data directory]", HelpName = "URL" };
        var damage = new Option<bool>("--accept-damage") { Description = "Restore also what was damaged before the backup was made" };
        verb.Add(database);
        verb.Add(damage);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var options = flags.Load(session);
            if (session.Get(database) is { } url)
            {
                if (PostgresUrl.Parse(url).Password is not null)
                    throw new LockstepException(ErrorCode.BadRequest, "--database holds a password, which every user of this machine sees in the list of processes; set LOCKSTEP_DATABASE, or name a file with ?passfile=");
                options = options with { Database = url };
            }
            var report = await new Restore(options, NullLoggerFactory.Instance, TimeProvider.System).RunAsync(session.Get(file), session.Get(damage), cancellationToken);
            session.Output.Result(report, CliJson.Default.RestoreReport, text => text.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"restored release {report.Release} of {Output.Time(report.CreatedAt)} into {Output.Printable(report.Data)}: {report.Secrets} secrets, {report.Tokens} tokens, {report.Rows} rows")));
            foreach (var part in report.Damage) session.Output.Remark("it was damaged before: " + part);
            if (report.Repository is not null && options.Config.Url is not null)
                session.Output.Remark($"config.url is set, so the repository of the backup is not used: push it there with `git --git-dir={report.Repository} push --mirror URL`");
            session.Output.Remark("tokens are as they were then: those that were revoked or rolled since are ALIVE AGAIN. Revoke or roll them (lockstep token list, token revoke, token roll), or end all of a scope (lockstep kill), before others can reach the server");
            session.Output.Remark("a new epoch begins: what clients hold from before means nothing any more, they start anew by themselves");
        });
        return verb;
    }
}
