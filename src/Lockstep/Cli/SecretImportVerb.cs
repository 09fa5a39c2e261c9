using System.CommandLine;
using Lockstep.Client;
using Lockstep.Secrets;

namespace Lockstep.Cli;

/// <summary><c>lockstep secret import</c>: each entry of a file becomes a secret.</summary>
internal static class SecretImportVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("import", "Write many secrets from a dotenv, JSON or YAML file",
            "lockstep secret import .env --prefix payments/",
            "lockstep secret import secrets.yaml --dry-run",
            "vault kv get -format=json … | jq .data.data | lockstep secret import - --format json --prefix payments/")
        {
            Details = """
                Each top-level entry becomes a secret with its key as the id; entries that are objects become secrets with
                fields. All of the file is checked before the first is written.
                """,
        };
        var file = new Argument<string>("FILE") { Description = "The file (-: stdin)" };
        var format = new Option<string?>("--format") { Description = "dotenv, json or yaml; default: by the file's name", HelpName = "FORMAT" };
        format.AcceptOnlyFromAmong("dotenv", "json", "yaml");
        var prefix = new Option<string?>("--prefix") { Description = "Put before every key to make the id, such as payments/", HelpName = "TEXT" };
        var dryRun = new Option<bool>("--dry-run") { Description = "Check the file and list the ids; write nothing" };
        verb.Add(file);
        verb.Add(format);
        verb.Add(prefix);
        verb.Add(dryRun);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var name = session.Get(file);
            var entries = ImportFile.Parse(Read(name), session.Get(format) ?? FormatOf(name), name)
                .Select(e => Checked(session.Get(prefix) + e.Key, e.Value, name)).ToList();
            if (session.Get(dryRun))
            {
                var planned = new ImportPlan([.. entries.Select(e => e.Id)]);
                session.Output.Result(planned, CliJson.Default.ImportPlan, text => planned.Ids.ToList().ForEach(text.WriteLine));
                return;
            }
            await WriteAsync(session, entries, cancellationToken);
        });
        return verb;
    }

    private static async Task WriteAsync(Session session, List<(string Id, string Value)> entries, CancellationToken cancellationToken)
    {
        var written = new List<SecretWritten>();
        foreach (var (id, value) in entries)
        {
            try
            {
                written.Add(await SecretSetVerb.PutAsync(session.Client, id, new SecretPut { Value = SecretSetVerb.ToJson(value) }, (Activate: true, Force: false), cancellationToken));
            }
            catch (LockstepException e)
            {
                throw new LockstepException(e.Code, $"{id}: {e.Message} ({written.Count} of {entries.Count} were written before it{(written.Count > 0 ? ": " + string.Join(", ", written.Select(w => w.Id)) : "")})", e) { Errors = e.Errors, RetryAfter = e.RetryAfter };
            }
        }
        session.Output.Result(new ImportReport(written), CliJson.Default.ImportReport, text => written.ForEach(w => text.WriteLine(SecretVerbs.Text(w))));
    }

    private static (string Id, string Value) Checked(string id, string value, string file)
    {
        if (!SecretId.TryParse(id, out _))
            throw new LockstepException(ErrorCode.BadRequest, $"{file}: '{Output.Printable(id)}' is not an id of a secret: letters, digits and _ . + = - in parts joined by /, others percent-encoded, at most {SecretId.MaxLength} characters");
        if (value.Length == 0) throw new LockstepException(ErrorCode.BadRequest, $"{file}: the value of '{id}' is empty");
        if (System.Text.Encoding.UTF8.GetByteCount(value) > SecretSetVerb.MaxValueBytes)
            throw new LockstepException(ErrorCode.TooLarge, $"{file}: the value of '{id}' is longer than {SecretSetVerb.MaxValueBytes} bytes");
        return (id, value);
    }

    private static string Read(string name)
    {
        if (name is not "-") return SecretSetVerb.ReadFile(name, ImportFile.MaxBytes, "an import");
        using var input = Console.OpenStandardInput();
        return BoundedFile.ReadText(input, ImportFile.MaxBytes, "an import", "stdin");
    }

    private static string FormatOf(string name) => Path.GetExtension(name) switch
    {
        ".json" => "json",
        ".yaml" or ".yml" => "yaml",
        ".env" => "dotenv",
        _ when Path.GetFileName(name).StartsWith(".env", StringComparison.Ordinal) => "dotenv",
        _ => throw new LockstepException(ErrorCode.BadRequest, $"the format of '{name}' is not told by its name: say --format dotenv, json or yaml"),
    };
}
