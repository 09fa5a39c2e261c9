using System.CommandLine;
using System.Text;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep secret set</c>.</summary>
internal static class SecretSetVerb
{
    /// <summary>The server's own limit for a value.</summary>
    public const int MaxValueBytes = 64 * 1024;

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("set", "Write a new version of a secret, creating the secret if there is none",
            "lockstep secret set payments/db",
            "pwgen -s 32 1 | lockstep secret set payments/api-key",
            "lockstep secret set payments/tls-key --file key.pem --raw",
            "echo '{\"user\":\"app\",\"password\":\"…\"}' | lockstep secret set payments/db --stage")
        {
            Details = """
                The value is read from stdin (on a terminal: asked for, and not shown) or from a file; one line end at its
                end is dropped. Text that is a JSON object has fields: ${secret:payments/db#password}.
                """,
        };
        var id = SecretVerbs.IdArgument();
        var value = new Argument<string?>("VALUE") { Description = "The value; other users of this machine can see it in the process list, so rather use stdin", Arity = ArgumentArity.ZeroOrOne };
        var file = new Option<string?>("--file", "-f") { Description = "Read the value from a file (-: stdin)", HelpName = "FILE" };
        var raw = new Option<bool>("--raw") { Description = "Keep the line end at the end of the value" };
        var stage = new Option<bool>("--stage") { Description = "Write the version without making it the active one; `secret activate` does" };
        var cas = new Option<int?>("--cas") { Description = "Only if the latest version is this one; 0: only if there is no such secret", HelpName = "N" };
        verb.Add(id);
        verb.Add(value);
        var force = new Option<bool>("--force") { Description = "Even if known documents break by it" };
        foreach (var option in new Option[] { file, raw, stage, cas, force }) verb.Add(option);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var text = ReadValue(session, session.Get(value), session.Get(file), session.Get(raw));
            var put = new SecretPut { Value = ToJson(text), Cas = session.Get(cas) };
            SecretVerbs.PrintWritten(session, await PutAsync(session.Client, session.Get(id), put, (!session.Get(stage), session.Get(force)), cancellationToken));
        });
        return verb;
    }

    /// <summary>Writes a version, or the first one of a secret that does not exist.</summary>
    public static async Task<SecretWritten> PutAsync(
        LockstepClient client, string id, SecretPut put, (bool Activate, bool Force) how, CancellationToken cancellationToken)
    {
        try
        {
            return await client.PutSecretAsync(id, put, how.Activate, how.Force, cancellationToken);
        }
        catch (LockstepException e) when (e.Code == ErrorCode.NotFound && put.Cas is null)
        {
            return await client.PutSecretAsync(id, put with { Cas = 0 }, how.Activate, how.Force, cancellationToken);
        }
    }

    public static JsonElement ToJson(string text) => JsonSerializer.SerializeToElement(text, CliJson.Default.String);

    private static string ReadValue(Session session, string? value, string? file, bool raw)
    {
        if (value is not null && file is not null) throw new LockstepException(ErrorCode.BadRequest, "the value is given twice: as an argument and with --file");
        if (value is not null)
        {
            session.Output.Remark("the value was given as an argument, where other users and the shell's history can see it: prefer stdin or --file");
            return value;
        }
        var text = file is null or "-" ? ReadStandardInput() : ReadFile(file, MaxValueBytes, "a secret");
        if (!raw && text.EndsWith('\n')) text = text[..^(text.EndsWith("\r\n", StringComparison.Ordinal) ? 2 : 1)];
        return text.Length > 0 ? text : throw new LockstepException(ErrorCode.BadRequest, "the value is empty");
    }

    private static string ReadStandardInput()
    {
        if (!Console.IsInputRedirected) return ReadHidden();
        using var input = Console.OpenStandardInput();
        return BoundedFile.ReadText(input, MaxValueBytes, "a secret", "stdin");
    }

    public static string ReadFile(string path, int maxBytes, string what)
    {
        try
        {
            return BoundedFile.ReadText(path, maxBytes, what);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be read: {e.Message}", e);
        }
    }

    /// <summary>Asks on the terminal for one line that is not shown.</summary>
    private static string ReadHidden()
    {
        Console.Error.Write("Value (not shown): ");
        var text = new StringBuilder();
        while (Console.ReadKey(intercept: true) is var key && key.Key != ConsoleKey.Enter)
        {
            if (key.Key == ConsoleKey.Backspace) text.Length = Math.Max(0, text.Length - 1);
            else if (!char.IsControl(key.KeyChar) && text.Length < MaxValueBytes) text.Append(key.KeyChar);
        }
        Console.Error.WriteLine();
        return text.ToString();
    }
}
