using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep whoami</c> and <c>lockstep can</c>.</summary>
internal static class AccessVerbs
{
    public static Command BuildWhoAmI(GlobalOptions globals)
    {
        var verb = new Verb("whoami", "Show who the server takes you for, and what you may do", "lockstep whoami");
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var me = await session.Client.WhoAmIAsync(cancellationToken);
            session.Output.Result(me, LockstepJson.Default.WhoAmI, text =>
            {
                text.WriteLine("name          " + Output.Printable(me.Name));
                text.WriteLine("id            " + Output.Printable(me.Id));
                if (me.Issuer is not null) text.WriteLine("issuer        " + Output.Printable(me.Issuer));
                if (me.Parent is not null) text.WriteLine("derived from  " + Output.Printable(me.Parent));
                foreach (var held in me.Roles)
                {
                    text.WriteLine("role          " + Output.Printable(held.Rule is null ? held.Role : $"{held.Role}, by {held.Rule}"));
                    text.WriteLine("permissions   " + Output.List(held.Permissions));
                    text.WriteLine("services      " + Output.List(held.Services));
                    text.WriteLine("environments  " + Output.List(held.Environments));
                    text.WriteLine("secrets       " + Output.List(held.Secrets));
                }
                text.WriteLine("expires       " + (me.ExpiresAt is null ? "never" : Output.Time(me.ExpiresAt)));
                text.WriteLine("server        " + session.Client.Address);
            });
        });
        return verb;
    }

    public static Command BuildCan(GlobalOptions globals)
    {
        var verb = new Verb("can", "Ask whether you may do something: exit status 0 if so, 4 if not",
            "lockstep can config:read payments/production",
            "lockstep can secret:reveal payments/db",
            "lockstep can audit:read");
        var permission = new Argument<string>("PERMISSION") { Description = "config:read, config:write, secret:read, secret:reveal, secret:write, token:write, audit:read or admin" };
        var subject = new Argument<string?>("SUBJECT") { Description = "SERVICE/ENVIRONMENT for config, the id for secrets", Arity = ArgumentArity.ZeroOrOne };
        verb.Add(permission);
        verb.Add(subject);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var (asked, on) = (session.Get(permission), session.Get(subject));
            string? service = null, environment = null, secret = null;
            if (asked.StartsWith("secret:", StringComparison.Ordinal)) secret = on;
            else if (on is not null)
            {
                var slash = on.IndexOf('/', StringComparison.Ordinal);
                if (slash < 1 || slash == on.Length - 1) throw new LockstepException(ErrorCode.BadRequest, $"'{on}' names no document: write it as SERVICE/ENVIRONMENT");
                (service, environment) = (on[..slash], on[(slash + 1)..]);
            }
            var answer = await session.Client.CanAsync(asked, service, environment, secret, cancellationToken);
            session.Output.Result(answer, LockstepJson.Default.CanResult, text => text.WriteLine(Output.Printable($"{(answer.Allowed ? "yes" : "no")}: {answer.Reason}")));
            return answer.Allowed ? 0 : ErrorCode.Forbidden.ExitCode;
        });
        return verb;
    }
}
