using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary>The options every verb has: where the server is, which token to show, and how to print.</summary>
internal sealed class GlobalOptions
{
    public static readonly Option<bool> Json = new("--json")
    {
        Description = "Print one JSON document with the field names of the HTTP interface (errors too, on stderr)",
        Recursive = true,
    };

    public Option<string?> Address { get; } = new("--addr")
    {
        Description = "The server [LOCKSTEP_ADDR; .lockstep/address; address: in lockstep.yaml; http://127.0.0.1:7400]",
        HelpName = "URL",
        Recursive = true,
    };

    public Option<string?> TokenFile { get; } = new("--token-file")
    {
        Description = "File with the token, readable by its owner only [LOCKSTEP_TOKEN; LOCKSTEP_TOKEN_FILE; .lockstep/token, sent only to .lockstep/address; `lockstep login`]",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<bool> Insecure { get; } = new("--insecure")
    {
        Description = "Send the token over plain http to another machine, where anybody on the way can read it",
        Recursive = true,
    };

    public void AddTo(Command root)
    {
        root.Add(Address);
        root.Add(TokenFile);
        root.Add(Insecure);
        root.Add(Json);
    }

    /// <summary>-s and -e, for the verbs that are about a document.</summary>
    public static (Option<string?> Service, Option<string?> Environment) AddDocument(Command command)
    {
        var service = new Option<string?>("--service", "-s") { Description = "The service [LOCKSTEP_SERVICE; service: in lockstep.yaml]", HelpName = "NAME" };
        var environment = new Option<string?>("--environment", "-e") { Description = "The environment, or several joined by commas [LOCKSTEP_ENVIRONMENT; environment: in lockstep.yaml]", HelpName = "NAME" };
        command.Add(service);
        command.Add(environment);
        return (service, environment);
    }

    /// <summary>Gives the command a body. Its failures are printed here, and become the exit status.</summary>
    public void Action(Command command, Func<Session, CancellationToken, Task<int>> body) =>
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var output = Output.For(parsed);
            try
            {
                using var session = new Session(this, parsed, output);
                return await body(session, cancellationToken);
            }
            catch (LockstepException e)
            {
                output.Fail(e);
                return e.Code.ExitCode;
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                // A defect. Its message stays out, as it may quote what was read.
                output.Fail(new(ErrorCode.Internal, $"this is a defect of lockstep, please report it: {e.GetType()}\n{e.StackTrace}"));
                return ErrorCode.Internal.ExitCode;
            }
        });

    /// <summary>The same for a body without a result of its own.</summary>
    public void Action(Command command, Func<Session, CancellationToken, Task> body) =>
        Action(command, async (session, cancellationToken) =>
        {
            await body(session, cancellationToken);
            return 0;
        });
}
