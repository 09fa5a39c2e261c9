using System.CommandLine;
using Lockstep.Client;
using Lockstep.Config;
using Lockstep.Settings;

namespace Lockstep.Cli;

/// <summary><c>lockstep config validate</c>: checks files on disk, without a server.</summary>
internal static class ValidateVerb
{
    private const int MaxDocuments = 10_000;
    private const int MaxShown = 1_000;

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("validate", "Check config files on disk, without a server: syntax, placeholders and references",
            "lockstep config validate",
            "lockstep config validate ../config -s payments -e production",
            "lockstep config validate --search-path '{application}' --json")
        {
            Details = """
                Without -s and -e, every service and environment that the names of the files speak of is checked. Whether the secrets exist
                is known to the server only. Exit status 1 if anything is wrong; warnings are placeholders that name no key.
                """,
        };
        var directory = new Argument<string>("DIR") { Description = "The working tree [.]", Arity = ArgumentArity.ZeroOrOne, DefaultValueFactory = _ => "." };
        verb.Add(directory);
        var (service, environment) = GlobalOptions.AddDocument(verb);
        var searchPaths = new Option<string[]>("--search-path") { Description = "As config.searchPaths of the server, in order; may be given several times", HelpName = "PATH" };
        verb.Add(searchPaths);
        globals.Action(verb, (session, _) =>
        {
            var report = Check(session.Get(directory), Key(session.Get(service), session.Get(environment)), session.Get(searchPaths) ?? []);
            session.Output.Result(report, CliJson.Default.ValidationReport, text => Print(report, text));
            return Task.FromResult(report.Valid ? 0 : 1);
        });
        return verb;
    }

    private static ValidationReport Check(string directory, DocumentKey? key, string[] searchPaths)
    {
        if (!Directory.Exists(directory)) throw new LockstepException(ErrorCode.NotFound, $"there is no directory '{directory}'");
        var tree = WorkingTree.Open(directory);
        var errors = new List<ProblemError>(key is null ? tree.SyntaxErrors().Select(e => e.ToProblem()) : []);
        var warnings = new List<ProblemError>();
        var documents = key is null ? tree.Documents(MaxDocuments) : [key];
        foreach (var document in documents)
        {
            var (sources, config) = tree.Resolve(document, searchPaths);
            if (key is not null && !sources.HasOwnFile)
                throw new LockstepException(ErrorCode.NotFound, $"no file is named after the service '{key.Service}' (such as {key.Service}.yml) in '{directory}'");
            errors.AddRange(config.Errors.Select(e => e.ToProblem()));
            warnings.AddRange(config.Warnings.Select(e => e.ToProblem()));
        }
        // A wrong file is wrong in every document that it is part of: it is told once.
        return new ValidationReport(errors.Count == 0, tree.Tree.Blobs.Count, documents.Count, [.. errors.Distinct().Take(MaxShown)], [.. warnings.Distinct().Take(MaxShown)]);
    }

    private static DocumentKey? Key(string? service, string? environment)
    {
        if (service is null && environment is null) return null;
        if (service is null || environment is null) throw new LockstepException(ErrorCode.BadRequest, "-s and -e go together");
        if (!NameRules.IsName(service) || !NameRules.IsEnvironmentList(environment))
            throw new LockstepException(ErrorCode.BadRequest, $"a service's and an environment's name has {NameRules.Words}");
        return new DocumentKey(service, environment);
    }

    private static void Print(ValidationReport report, TextWriter text)
    {
        foreach (var error in report.Errors) text.WriteLine(Output.Printable($"error    {error}"));
        foreach (var warning in report.Warnings) text.WriteLine(Output.Printable($"warning  {warning}"));
        text.WriteLine($"{report.Files} files, {report.Documents} documents: {(report.Valid ? "valid" : "not valid")}");
    }
}

/// <summary>What a validation found.</summary>
internal sealed record ValidationReport(bool Valid, int Files, int Documents, IReadOnlyList<ProblemError> Errors, IReadOnlyList<ProblemError> Warnings);
