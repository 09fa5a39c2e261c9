using System.CommandLine;
using Lockstep.Agent;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep run</c>.</summary>
internal static class RunVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("run", "Run a command with a service's config and secrets in its environment",
            "lockstep run -s payments -e production -- ./server --port 8080",
            "LOCKSTEP_SERVICE=payments LOCKSTEP_ENVIRONMENT=dev lockstep run -- env")
        {
            Details = """
                lockstep run [-s SERVICE] [-e ENVIRONMENT] -- COMMAND [ARGUMENTS…]

                The key db.password becomes DB_PASSWORD. Lockstep's values win over inherited ones; LOCKSTEP_TOKEN
                and LOCKSTEP_TOKEN_FILE are removed. Two keys that give one name, or a name that changes how programs
                load (PATH, LD_PRELOAD …), are an error before the start. Signals are passed on.
                The exit status is the command's own; 126: it can't be executed, 127: it is not found, 128+n: signal
                n ended it.
                """,
        };
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var label = new Option<string?>("--label") { Description = "A Git branch, tag or commit", HelpName = "LABEL" };
        var release = new Option<long?>("--release") { Description = "The state at a release of the past", HelpName = "N" };
        var command = new Argument<string[]>("COMMAND") { Description = "The command and its arguments, after --", Arity = ArgumentArity.OneOrMore };
        verb.Add(label);
        verb.Add(release);
        verb.Add(command);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var request = new RunRequest(session.Service(service), session.Environment(environment), session.Get(command)!)
            {
                Query = new ConfigQuery { Label = session.Get(label), Release = session.Get(release) },
            };
            return await Runner.RunAsync(session.Client, request, session.Output.Remark, cancellationToken);
        });
        return verb;
    }
}
