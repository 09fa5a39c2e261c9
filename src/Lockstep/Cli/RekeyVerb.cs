using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep rekey</c>: a new master key for a running server.</summary>
internal static class RekeyVerb
{
    // It goes through every secret there is.
    private static readonly TimeSpan s_limit = TimeSpan.FromHours(1);

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("rekey", "Change the server's master key while it runs: make a new one and wrap every key by it",
            "lockstep rekey --yes",
            "lockstep rekey --yes --json | jq .rewrapped")
        {
            Details = """
                Needs the role admin. Cut short, by whatever, it goes on when the server starts again, or when you run it again.
                Copy the new master key away; keep the old one with the backups that were made under it.
                A key from a variable is not the server's to change: see masterKey.previous in docs/settings.md.
                """,
        };
        var yes = Confirmation.AddYes(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            Confirmation.Ask(session, yes, "Change the master key? Copies of the present one open older backups only.");
            using var client = new LockstepClient(session.Settings.ClientOptions(withToken: true) with { Timeout = s_limit });
            var result = await client.RekeyAsync(cancellationToken);
            session.Output.Result(result, LockstepJson.Default.RekeyResult,
                text => text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"the master key is changed, {result.Rewrapped} keys are wrapped by the new one")));
            if (result.Damaged > 0) session.Output.Remark(string.Create(CultureInfo.InvariantCulture, $"{result.Damaged} keys opened under neither master key: somebody changed their rows. They are as they were"));
            session.Output.Remark("copy the new master key to a safe place, and keep the old one as long as backups made under it");
            return result.Damaged > 0 ? 1 : 0;
        });
        return verb;
    }
}
