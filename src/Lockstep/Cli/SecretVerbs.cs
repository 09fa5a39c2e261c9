using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep secret …</c> (its set and import have files of their own).</summary>
internal static class SecretVerbs
{
    public static Command Build(GlobalOptions globals) => new("secret", "Write, read and version secrets")
    {
        SecretSetVerb.Build(globals), Get(globals), List(globals), Remove(globals), Restore(globals), Versions(globals), Activate(globals), SecretImportVerb.Build(globals),
    };

    public static Argument<string> IdArgument() => new("ID") { Description = "The secret's id, such as payments/db" };

    private static Verb Get(GlobalOptions globals)
    {
        var verb = new Verb("get", "Print the value of a secret and nothing else",
            "lockstep secret get payments/db",
            "PGPASSWORD=$(lockstep secret get payments/db --field password) psql …",
            "lockstep secret get payments/db --version 3 --json")
        {
            Details = """
                A line end is added on a terminal only. The value crosses the network sealed to a key made for this call.
                """,
        };
        var id = IdArgument();
        var field = new Option<string?>("--field") { Description = "One field of a value that is a JSON object", HelpName = "NAME" };
        var version = new Option<int?>("--version") { Description = "An older version; default: the active one", HelpName = "N" };
        verb.Add(id);
        verb.Add(field);
        verb.Add(version);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var secret = await session.Client.RevealSecretAsync(session.Get(id), session.Get(version), cancellationToken);
            if (session.Get(field) is { } name) secret = secret with { Value = Field(secret, name) };
            session.Output.Result(secret, LockstepJson.Default.SecretPlaintext, text =>
            {
                text.Write(secret.Value);
                if (!Console.IsOutputRedirected) text.WriteLine();
            });
        });
        return verb;
    }

    private static string Field(SecretPlaintext secret, string name)
    {
        try
        {
            using var json = JsonDocument.Parse(secret.Value);
            if (json.RootElement.ValueKind == JsonValueKind.Object)
            {
                if (json.RootElement.TryGetProperty(name, out var field))
                    return field.ValueKind switch
                    {
                        JsonValueKind.String => field.GetString()!,
                        JsonValueKind.Null => "",
                        JsonValueKind.Object or JsonValueKind.Array => Output.ToJson(field, CliJson.Default.JsonElement),
                        _ => field.GetRawText(),
                    };
                throw new LockstepException(ErrorCode.NotFound, $"{secret} has no field '{name}'");
            }
        }
        catch (JsonException)
        {
            // No object, as below; the exception would quote the value.
        }
        throw new LockstepException(ErrorCode.NotFound, $"{secret} is plain text, without fields");
    }

    private static Verb List(GlobalOptions globals)
    {
        var verb = new Verb("list", "List the secrets this token may read, without their values",
            "lockstep secret list --prefix payments/",
            "lockstep secret list --filter '^payments/.*-key$'");
        var filter = new Option<string?>("--filter") { Description = "Only ids that match this regular expression", HelpName = "REGEX" };
        var prefix = new Option<string?>("--prefix") { Description = "Only ids that begin so", HelpName = "TEXT" };
        verb.Add(filter);
        verb.Add(prefix);
        var paging = Paging.AddAfter(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.ListSecretsAsync(session.Get(filter), session.Get(prefix), session.Get(paging.From), session.Get(paging.Limit), cancellationToken);
            session.Output.Result(page, LockstepJson.Default.SecretPage, text => Output.Table(text, ["ID", "ACTIVE", "MOUNT", "WRITTEN", "BY"], page.Items.Select(s =>
            {
                var shown = s.Versions.FirstOrDefault(v => v.Version == s.Active) ?? (s.Versions.Count > 0 ? s.Versions[0] : null);
                return new[] { s.Id, Number(s.Active), s.Mount, Output.Time(shown?.CreatedAt), shown?.CreatedBy };
            })));
            paging.More(session, page.Next);
        });
        return verb;
    }

    private static Verb Remove(GlobalOptions globals)
    {
        var verb = new Verb("rm", "Delete a secret",
            "lockstep secret rm payments/old-key --yes",
            "lockstep secret rm payments/old-key --purge --yes")
        {
            Details = """
                `secret restore` takes it back, unless it was purged.
                """,
        };
        var id = IdArgument();
        var purge = new Option<bool>("--purge") { Description = "Destroy every version, for good" };
        var force = Force();
        var yes = Confirmation.AddYes(verb);
        verb.Add(id);
        verb.Add(purge);
        verb.Add(force);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var name = session.Get(id);
            Confirmation.Ask(session, yes, session.Get(purge) ? $"Destroy every version of {name} for good?" : $"Delete {name}?");
            await session.Client.DeleteSecretAsync(name, session.Get(purge), session.Get(force), cancellationToken);
            session.Output.Result(new Done { Id = name }, CliJson.Default.Done, text => text.WriteLine(Output.Printable($"deleted {name}")));
        });
        return verb;
    }

    private static Verb Restore(GlobalOptions globals)
    {
        var verb = new Verb("restore", "Take the deletion of a secret back", "lockstep secret restore payments/old-key");
        var id = IdArgument();
        verb.Add(id);
        globals.Action(verb, async (session, cancellationToken) =>
            PrintWritten(session, await session.Client.RestoreSecretAsync(session.Get(id), cancellationToken)));
        return verb;
    }

    private static Verb Versions(GlobalOptions globals)
    {
        var verb = new Verb("versions", "List the versions of a secret, newest first", "lockstep secret versions payments/db");
        var id = IdArgument();
        verb.Add(id);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var page = await session.Client.ListSecretVersionsAsync(session.Get(id), cancellationToken);
            session.Output.Result(page, LockstepJson.Default.SecretVersionPage, text => Output.Table(text, ["VERSION", "STATE", "WRITTEN", "BY"],
                page.Items.Select(v => new[] { Number(v.Version), v.State, Output.Time(v.CreatedAt), v.CreatedBy })));
        });
        return verb;
    }

    private static Verb Activate(GlobalOptions globals)
    {
        var verb = new Verb("activate", "Make a version of a secret the active one: a staged one, or an older one again", "lockstep secret activate payments/db 3");
        var id = IdArgument();
        var version = new Argument<int>("VERSION") { Description = "The version; `secret versions` lists them" };
        var force = Force();
        verb.Add(id);
        verb.Add(version);
        verb.Add(force);
        globals.Action(verb, async (session, cancellationToken) =>
            PrintWritten(session, await session.Client.ActivateSecretAsync(session.Get(id), session.Get(version), session.Get(force), cancellationToken)));
        return verb;
    }


    public static Option<bool> Force() => new("--force") { Description = "Even if a config that is in use breaks by it" };

    public static void PrintWritten(Session session, SecretWritten written) =>
        session.Output.Result(written, LockstepJson.Default.SecretWritten, text => text.WriteLine(Output.Printable(Text(written))));

    public static string Text(SecretWritten written) => string.Create(CultureInfo.InvariantCulture,
        $"{written.Id} version {written.Version}{(written.Release is { } release ? string.Create(CultureInfo.InvariantCulture, $", active from release {release}") : ", staged")}");

    private static string? Number(int? number) => number?.ToString(CultureInfo.InvariantCulture);
}
