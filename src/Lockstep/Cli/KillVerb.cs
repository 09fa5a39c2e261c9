using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep kill</c>.</summary>
internal static class KillVerb
{
    private const int Shown = 20;
    private const string Ended = "ended";

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("kill", "The kill switch: end every token of a service, an environment, an issuer, or all of them, but your own",
            "lockstep kill -s payments -e production --dry-run",
            "lockstep kill -s payments -e production --yes",
            "lockstep kill --issuer https://token.actions.githubusercontent.com --yes",
            "lockstep kill --all --yes")
        {
            Details = """
                A token is of a service when it could be used for it, also one that is not limited to services. `lockstep token roll NAME` revives one with a new text.
                Of tokens of issuers, those issued up to now are dead; new ones are not.
                """,
        };
        var services = Several("--service", "-s", "NAME", "Tokens that could be used for this service");
        var environments = Several("--environment", "-e", "NAME", "Tokens that could be used in this environment");
        var issuer = new Option<string?>("--issuer") { Description = "Tokens of this issuer", HelpName = "URL" };
        var subject = new Option<string?>("--subject") { Description = "Of the issuer's tokens those of this subject", HelpName = "SUB" };
        var all = new Option<bool>("--all") { Description = "Every token" };
        var dryRun = new Option<bool>("--dry-run") { Description = "Only say which tokens would end" };
        foreach (var option in new Option[] { services, environments, issuer, subject, all, dryRun }) verb.Add(option);
        var yes = Confirmation.AddYes(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var request = new KillRequest
            {
                Services = session.Get(services) is { Length: > 0 } s ? s : null,
                Environments = session.Get(environments) is { Length: > 0 } e ? e : null,
                Issuer = session.Get(issuer),
                Subject = session.Get(subject),
                All = session.Get(all),
            };
            if (session.Get(dryRun) || !session.Get(yes))
            {
                var plan = await session.Client.KillAsync(request with { DryRun = true }, cancellationToken);
                if (session.Get(dryRun))
                {
                    Print(session, plan, "would end");
                    return;
                }
                Confirmation.Ask(session, yes, $"{Describe(plan)} would end. Kill?");
            }
            Print(session, await session.Client.KillAsync(request, cancellationToken), Ended);
        });
        return verb;
    }

    private static Option<string[]?> Several(string name, string alias, string help, string description) =>
        new(name, alias) { Description = description + "; may be repeated", HelpName = help, AllowMultipleArgumentsPerToken = false };

    private static string Describe(KillReport report) => Output.Printable(string.Create(CultureInfo.InvariantCulture,
        $"{report.Tokens.Count} service tokens{(report.Tokens.Count == 0 ? "" : ": ")}{string.Join(", ", report.Tokens.Take(Shown).Select(t => t.Name))}{(report.Tokens.Count > Shown ? " …" : "")}"));

    private static void Print(Session session, KillReport report, string verb) => session.Output.Result(report, LockstepJson.Default.KillReport, text =>
    {
        foreach (var token in report.Tokens) text.WriteLine(Output.Printable($"{token.Name} ({token.Id})"));
        text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.Tokens.Count} service tokens {verb}"));
        if (report.IssuedUntil is { } until) text.WriteLine($"tokens of issuers in scope that were issued until {Output.Time(until)} are dead too; they are not listed: lockstep audit exposure SUBJECT@ISSUER");
        if (report.Exposure is not { } exposure)
        {
            if (verb == Ended) text.WriteLine("what they were given: lockstep audit exposure NAME");
            return;
        }
        text.WriteLine(exposure.Items.Count == 0 ? "the service tokens were given no secrets" : "they were given, and these should be changed:");
        foreach (var item in exposure.Items) text.WriteLine(Output.Printable(string.Create(CultureInfo.InvariantCulture, $"  {item.Secret}@{item.Version}  last {Output.Time(item.Last)}")));
        if (exposure.Truncated) text.WriteLine("  and more: lockstep audit exposure NAME");
    });
}
