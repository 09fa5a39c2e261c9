using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep config plan</c>: what a push of this clone would do.</summary>
internal static class PlanVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("plan", "Show what a push of this clone would change: documents, keys, live instances, and what it would break",
            "lockstep config plan",
            "lockstep config plan ../config --json",
            "lockstep config plan --secret payments/db@4")
        {
            Details = """
                Every config file in which the working tree differs from the server's commit is looked at, committed or not. Nothing is changed.
                Exit status 1 if a file does not parse or a document would break.
                """,
        };
        var directory = new Argument<string>("DIR") { Description = "The clone [.]", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "." };
        var secrets = new Option<string[]>("--secret") { Description = "As if this version of a secret were the active one; may be given several times", HelpName = "ID@VERSION" };
        verb.Add(directory);
        verb.Add(secrets);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var versions = (session.Get(secrets) ?? []).Select(Parse).ToList();
            if (versions.GroupBy(v => v.Id, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice)
                throw new LockstepException(ErrorCode.BadRequest, $"--secret {twice.Key} is given twice");
            var clone = GitClone.Open(session.Get(directory));
            var commit = (await session.Client.PlanAsync(new PlanRequest(), cancellationToken)).Commit;
            var (files, untracked) = await clone.ChangesSinceAsync(commit, cancellationToken);
            var change = new PlanRequest
            {
                Files = files,
                Secrets = versions.ToDictionary(v => v.Id, v => v.Version, StringComparer.Ordinal),
            };
            var plan = await session.Client.PlanAsync(change, cancellationToken);
            session.Output.Result(plan, LockstepJson.Default.PlanResult, text => Print(plan, change, untracked, text));
            return plan.Valid ? 0 : 1;
        });
        return verb;
    }

    private static (string Id, int Version) Parse(string text)
    {
        var at = text.LastIndexOf('@');
        return at > 0 && int.TryParse(text.AsSpan(at + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var version) && version > 0
            ? (text[..at], version)
            : throw new LockstepException(ErrorCode.BadRequest, $"--secret '{text}' is not ID@VERSION, such as payments/db@4");
    }

    private static void Print(PlanResult plan, PlanRequest change, IReadOnlyList<string> untracked, TextWriter text)
    {
        foreach (var path in untracked) text.WriteLine(Output.Printable($"untracked: {path}"));
        foreach (var document in plan.Documents)
        {
            text.WriteLine(Output.Printable(string.Create(CultureInfo.InvariantCulture,
                $"{document.Outcome,-12}  {document.Service}/{document.Environment} ({document.Label}), {Count(document.Instances, "live instance")}")));
            foreach (var key in document.Keys) text.WriteLine(Output.Printable($"  key      {key}"));
            Print("  ", document.Errors, document.Warnings, text);
        }
        Print("", plan.Errors, plan.Warnings, text);
        var changed = plan.Documents.Count(d => d.Outcome is "changes" or "mends");
        var broken = plan.Documents.Count(d => d.Outcome == "breaks");
        var others = plan.Others == 0 ? "" : $", and {Count(plan.Others, "other document")} that this token may not read";
        text.WriteLine($"{Count(change.Files.Count, "changed file")}: {Count(changed, "document")} would change, {broken} would break{others}");
        text.WriteLine(plan.Valid ? "a push of it would be accepted" : "a push of it would be refused");
    }

    private static void Print(string indent, IReadOnlyList<ProblemError> errors, IReadOnlyList<ProblemError> warnings, TextWriter text)
    {
        foreach (var error in errors) text.WriteLine(Output.Printable($"{indent}error    {error}"));
        foreach (var warning in warnings) text.WriteLine(Output.Printable($"{indent}warning  {warning}"));
    }

    private static string Count(int count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count} {what}{(count == 1 ? "" : "s")}");
}
