using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep refresh</c>.</summary>
internal static class RefreshVerb
{
    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("refresh", "Have the server fetch Git now; done when readers see what came of it", "lockstep refresh");
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var result = await session.Client.RefreshAsync(cancellationToken);
            session.Output.Result(result, LockstepJson.Default.RefreshResult, text =>
            {
                text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"release {result.Release}, {result.Changed.Count} documents changed"));
                foreach (var document in result.Changed) text.WriteLine("  " + Output.Printable(document.ToString()));
            });
        });
        return verb;
    }
}
