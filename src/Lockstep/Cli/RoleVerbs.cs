using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep role …</c>.</summary>
internal static class RoleVerbs
{
    public static Command Build(GlobalOptions globals) =>
        new("role", "List, show, make and remove roles") { List(globals), Show(globals), Set(globals), Remove(globals) };

    private static Verb List(GlobalOptions globals)
    {
        var verb = new Verb("list", "List the roles: built in, of the settings, and of the database", "lockstep role list");
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.ListRolesAsync(cancellationToken);
            session.Output.Result(page, LockstepJson.Default.RolePage, text => Output.Table(text,
                ["NAME", "SOURCE", "PERMISSIONS", "SERVICES", "ENVIRONMENTS", "SECRETS", "CHANGED", "BY"],
                page.Items.Select(r => new[]
                {
                    r.Name, r.Source, Output.List(r.Permissions), Output.List(r.Services), Output.List(r.Environments), Output.List(r.Secrets), Output.Time(r.UpdatedAt), r.UpdatedBy,
                })));
        });
        return verb;
    }

    private static Verb Show(GlobalOptions globals)
    {
        var verb = new Verb("show", "Show one role", "lockstep role show payments");
        var name = Name(verb);
        globals.Action(verb, async (session, cancellationToken) => Print(session, await session.Client.GetRoleAsync(session.Get(name), cancellationToken)));
        return verb;
    }

    private static Verb Set(GlobalOptions globals)
    {
        var verb = new Verb("set", "Make a role, or change all of one; who holds it may do what it says from then on",
            "lockstep role set payments --permission config:read --permission secret:reveal -s payments --secret 'payments/**'",
            "lockstep role set auditor --permission audit:read")
        {
            Details = """
                What is left out has its default: services and environments *, secrets **, any network, and all files only when services and environments are both *.
                Roles that stand in the server's settings are changed there.
                """,
        };
        var name = Name(verb);
        var permissions = Several("--permission", null, "PERMISSION", "config:read, config:write, secret:read, secret:reveal, secret:write, token:write, audit:read or admin");
        permissions.Required = true;
        var services = Several("--service", "-s", "GLOB", "The services it holds for");
        var environments = Several("--environment", "-e", "GLOB", "The environments it holds for");
        var secrets = Several("--secret", null, "GLOB", "The secret ids it holds for");
        var paths = Several("--path", null, "GLOB", "The files of the repository it holds for");
        var cidrs = Several("--cidr", null, "GLOB", "The networks its holders must come from, such as 10.0.0.0/8");
        foreach (var option in new[] { permissions, services, environments, secrets, paths, cidrs }) verb.Add(option);
        globals.Action(verb, async (session, cancellationToken) => Print(session, await session.Client.PutRoleAsync(session.Get(name), new RolePut
        {
            Permissions = session.Get(permissions) ?? [],
            Services = NullIfEmpty(session.Get(services)),
            Environments = NullIfEmpty(session.Get(environments)),
            Secrets = NullIfEmpty(session.Get(secrets)),
            Paths = NullIfEmpty(session.Get(paths)),
            Cidrs = NullIfEmpty(session.Get(cidrs)),
        }, cancellationToken)));
        return verb;
    }

    private static Verb Remove(GlobalOptions globals)
    {
        var verb = new Verb("rm", "Remove a role; tokens that have it may do nothing any more", "lockstep role rm payments --yes");
        var name = Name(verb);
        var force = new Option<bool>("--force") { Description = "Also when tokens have it, or rules of issuers give it" };
        verb.Add(force);
        var yes = Confirmation.AddYes(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            Confirmation.Ask(session, yes, $"Remove the role {session.Get(name)}?");
            await session.Client.DeleteRoleAsync(session.Get(name), session.Get(force), cancellationToken);
            session.Output.Result(new Done { Name = session.Get(name) }, CliJson.Default.Done, text => text.WriteLine(Output.Printable($"removed {session.Get(name)}")));
        });
        return verb;
    }

    private static Argument<string> Name(Verb verb)
    {
        var name = new Argument<string>("NAME") { Description = "Its name" };
        verb.Add(name);
        return name;
    }

    private static Option<string[]?> Several(string name, string? alias, string help, string description) =>
        new(name, alias is null ? [] : [alias]) { Description = description + "; may be repeated", HelpName = help, AllowMultipleArgumentsPerToken = false };

    private static string[]? NullIfEmpty(string[]? items) => items is { Length: > 0 } ? items : null;

    private static void Print(Session session, RoleInfo role) => session.Output.Result(role, LockstepJson.Default.RoleInfo, text =>
    {
        text.WriteLine("name          " + Output.Printable(role.Name));
        text.WriteLine("source        " + role.Source);
        text.WriteLine("permissions   " + Output.List(role.Permissions));
        text.WriteLine("services      " + Output.List(role.Services));
        text.WriteLine("environments  " + Output.List(role.Environments));
        text.WriteLine("secrets       " + Output.List(role.Secrets));
        text.WriteLine("paths         " + Output.List(role.Paths));
        text.WriteLine("cidrs         " + (role.Cidrs.Count == 0 ? "any" : Output.List(role.Cidrs)));
        if (role.UpdatedAt is { } at) text.WriteLine(Output.Printable($"changed       {Output.Time(at)} by {role.UpdatedBy}"));
    });
}
