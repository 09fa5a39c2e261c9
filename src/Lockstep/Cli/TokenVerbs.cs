using System.CommandLine;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep token …</c>.</summary>
internal static class TokenVerbs
{
    public static Command Build(GlobalOptions globals) =>
        new("token", "Create, derive, list, roll and revoke service tokens") { Create(globals), Derive(globals), Renew(globals), List(globals), Roll(globals), Revoke(globals) };

    private static Verb Create(GlobalOptions globals)
    {
        var verb = new Verb("create", "Create a service token",
            "lockstep token create payments-prod --role reader -s payments -e production --secret 'payments/**' --expires-in 90d",
            "lockstep token create ci --role writer --out ci.token")
        {
            Details = """
                It is printed once and kept nowhere: nobody can show it again. Nobody grants more than they hold.
                """,
        };
        var name = new Argument<string>("NAME") { Description = "A name for it" };
        var role = new Option<string>("--role") { Description = "admin, writer, reader, viewer, or a role of your own", HelpName = "ROLE", Required = true };
        var services = Globs("--service", "-s", "Narrow it to services");
        var environments = Globs("--environment", "-e", "Narrow it to environments");
        var secrets = Globs("--secret", null, "Narrow it to secret ids");
        var cidrs = Globs("--cidr", null, "Accept it from these networks only, such as 10.0.0.0/8");
        var expires = new Option<string?>("--expires-in") { Description = "How long it lives, such as 24h or 90d; default: until it is revoked", HelpName = "DURATION" };
        var outFile = PrivateFile.Option();
        verb.Add(name);
        foreach (var option in new Option[] { role, services, environments, secrets, cidrs, expires, outFile }) verb.Add(option);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var request = new TokenCreate
            {
                Name = session.Get(name),
                Role = session.Get(role)!,
                Services = NullIfEmpty(session.Get(services)),
                Environments = NullIfEmpty(session.Get(environments)),
                Secrets = NullIfEmpty(session.Get(secrets)),
                Cidrs = NullIfEmpty(session.Get(cidrs)),
                ExpiresIn = Duration(session.Get(expires), "--expires-in"),
            };
            await PrintAsync(session, outFile, () => session.Client.CreateTokenAsync(request, cancellationToken));
        });
        return verb;
    }

    private static Verb Derive(GlobalOptions globals)
    {
        var verb = new Verb("derive", "Make a short-lived token from your own: it permits no more, and dies with it",
            "lockstep token derive --expires-in 15m --out job.token",
            "lockstep token derive --role viewer --expires-in 1h --renewable-for 12h");
        var name = new Argument<string?>("NAME") { Description = "The rest of its name, after yours and a dot; default: random letters", Arity = ArgumentArity.ZeroOrOne };
        var role = new Option<string?>("--role") { Description = "A role that gives no more than yours; default: yours", HelpName = "ROLE" };
        var services = Globs("--service", "-s", "Narrow it to services");
        var environments = Globs("--environment", "-e", "Narrow it to environments");
        var secrets = Globs("--secret", null, "Narrow it to secret ids");
        var cidrs = Globs("--cidr", null, "Accept it from these networks only, such as 10.0.0.0/8");
        var expires = new Option<string?>("--expires-in") { Description = "How long it lives; default 1h, at most 32d", HelpName = "DURATION" };
        var renewable = new Option<string?>("--renewable-for") { Description = "How long `token renew` can keep it alive in all; default: not at all", HelpName = "DURATION" };
        var outFile = PrivateFile.Option();
        verb.Add(name);
        foreach (var option in new Option[] { role, services, environments, secrets, cidrs, expires, renewable, outFile }) verb.Add(option);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var request = new TokenDerive
            {
                Name = session.Get(name),
                Role = session.Get(role),
                Services = NullIfEmpty(session.Get(services)),
                Environments = NullIfEmpty(session.Get(environments)),
                Secrets = NullIfEmpty(session.Get(secrets)),
                Cidrs = NullIfEmpty(session.Get(cidrs)),
                ExpiresIn = Duration(session.Get(expires), "--expires-in"),
                RenewableFor = Duration(session.Get(renewable), "--renewable-for"),
            };
            await PrintAsync(session, outFile, () => session.Client.DeriveTokenAsync(request, cancellationToken));
        });
        return verb;
    }

    private static Verb Renew(GlobalOptions globals)
    {
        var verb = new Verb("renew", "Make your own token live on, if it was derived with --renewable-for", "lockstep token renew", "lockstep token renew --expires-in 10m");
        var expires = new Option<string?>("--expires-in") { Description = "How long it shall live from now; default, and at most: as long as it was made for", HelpName = "DURATION" };
        verb.Add(expires);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var renewed = await session.Client.RenewTokenAsync(Duration(session.Get(expires), "--expires-in"), cancellationToken);
            session.Output.Result(renewed, LockstepJson.Default.TokenRenewed, text => text.WriteLine(Output.Printable($"{renewed.Name} lives until {Output.Time(renewed.ExpiresAt)}")));
        });
        return verb;
    }

    private static Verb List(GlobalOptions globals)
    {
        var verb = new Verb("list", "List the service tokens, revoked ones too", "lockstep token list");
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.ListTokensAsync(cancellationToken);
            session.Output.Result(page, LockstepJson.Default.TokenPage, text => Output.Table(text,
                ["NAME", "ID", "ROLE", "SERVICES", "ENVIRONMENTS", "SECRETS", "CREATED", "LAST USED", "EXPIRES", "REVOKED"],
                page.Items.Select(t => new[]
                {
                    t.Name, t.Id, t.Role, Output.List(t.Services), Output.List(t.Environments), Output.List(t.Secrets),
                    Output.Time(t.CreatedAt), Output.Time(t.LastUsedAt), Output.Time(t.ExpiresAt), Output.Time(t.RevokedAt),
                })));
        });
        return verb;
    }

    private static Verb Roll(GlobalOptions globals)
    {
        var verb = new Verb("roll", "Give a token a new text. The old one is dead at once, or after --grace",
            "lockstep token roll payments-prod --yes",
            "lockstep token roll payments-prod --grace 10m --out payments.token --yes");
        var name = new Argument<string>("NAME") { Description = "Its name" };
        var grace = new Option<string?>("--grace") { Description = "How long the old text still works, such as 10m", HelpName = "DURATION" };
        var outFile = PrivateFile.Option();
        var yes = Confirmation.AddYes(verb);
        verb.Add(name);
        verb.Add(grace);
        verb.Add(outFile);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var after = Duration(session.Get(grace), "--grace");
            Confirmation.Ask(session, yes, $"Roll the token {session.Get(name)}? Its present text stops working {(after is null ? "at once" : "in " + Durations.Format(after.Value))}.");
            await PrintAsync(session, outFile, () => session.Client.RollTokenAsync(session.Get(name), after, cancellationToken));
        });
        return verb;
    }

    private static Verb Revoke(GlobalOptions globals)
    {
        var verb = new Verb("revoke", "End a token at once, everywhere", "lockstep token revoke payments-prod --yes");
        var name = new Argument<string>("NAME") { Description = "Its name" };
        var yes = Confirmation.AddYes(verb);
        verb.Add(name);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            Confirmation.Ask(session, yes, $"Revoke the token {session.Get(name)}?");
            await session.Client.RevokeTokenAsync(session.Get(name), cancellationToken);
            session.Output.Result(new Done { Name = session.Get(name) }, CliJson.Default.Done, text => text.WriteLine(Output.Printable($"revoked {session.Get(name)}")));
        });
        return verb;
    }

    private static Option<string[]?> Globs(string name, string? alias, string description)
    {
        var option = new Option<string[]?>(name, alias is null ? [] : [alias]) { Description = description + "; may be repeated", HelpName = "GLOB" };
        option.AllowMultipleArgumentsPerToken = false;
        return option;
    }

    private static string[]? NullIfEmpty(string[]? items) => items is { Length: > 0 } ? items : null;

    private static TimeSpan? Duration(string? text, string option)
    {
        if (text is null) return null;
        return Durations.TryParse(text, out var duration) ? duration
            : throw new LockstepException(ErrorCode.BadRequest, $"{option} '{text}' is not a duration: write a whole number and a unit, such as 30s, 15m, 24h or 90d");
    }

    private static async Task PrintAsync(Session session, Option<string?> outFile, Func<Task<TokenCreated>> make)
    {
        using var file = session.Get(outFile) is { } path ? PrivateFile.Create(path) : null;
        try
        {
            Print(session, await make(), file);
        }
        catch when (file is { Length: 0 })
        {
            // There is no token: nothing stands in the way of the next try.
            File.Delete(file.Name);
            throw;
        }
    }

    private static void Print(Session session, TokenCreated token, FileStream? file)
    {
        if (file is not null)
        {
            PrivateFile.WriteLine(file, token.Token);
            token = token with { Token = file.Name };
        }
        session.Output.Result(token, LockstepJson.Default.TokenCreated, text => text.WriteLine(token.Token));
        if (!session.Json)
            session.Output.Remark($"token {token.Name} ({token.Id}), {(token.ExpiresAt is { } at ? "until " + Output.Time(at) : "until it is revoked")}{(file is null ? "; it is not shown again" : "")}");
    }
}
