using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep release …</c>.</summary>
internal static class ReleaseVerbs
{
    // How many keys a line of a table shows.
    private const int KeysShown = 5;

    public static Command Build(GlobalOptions globals) =>
        new("release", "Look at the releases: every change of config, of secrets and of pins, in order") { List(globals), Show(globals) };

    public static void Print(Session session, Page<ReleaseInfo> page)
    {
        session.Output.Result(page, LockstepJson.Default.ReleasePage, text => Output.Table(text, ["RELEASE", "AT", "BY", "KIND", "COMMIT", "MESSAGE"],
            page.Items.Select(r => new[] { r.Release.ToString(CultureInfo.InvariantCulture), Output.Time(r.At), r.By, r.Kind, Short(r.Commit), r.Message })));
        Remark(session, page);
    }

    private static Verb List(GlobalOptions globals)
    {
        var verb = new Verb("list", "List the releases, newest first", "lockstep release list --limit 20");
        var paging = Paging.AddBefore(verb);
        globals.Action(verb, async (session, cancellationToken) =>
            Print(session, await session.Client.ListReleasesAsync(session.Get(paging.From), session.Get(paging.Limit), cancellationToken)));
        return verb;
    }

    private static Verb Show(GlobalOptions globals)
    {
        var verb = new Verb("show", "Show one release", "lockstep release show 42");
        var number = new Argument<long>("RELEASE") { Description = "Its number" };
        verb.Add(number);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var release = await session.Client.GetReleaseAsync(session.Get(number), cancellationToken);
            session.Output.Result(release, LockstepJson.Default.ReleaseInfo, text =>
            {
                text.WriteLine(Output.Printable(string.Create(CultureInfo.InvariantCulture, $"release  {release.Release}")));
                text.WriteLine("at       " + Output.Time(release.At));
                text.WriteLine("by       " + Output.Printable(release.By));
                text.WriteLine("kind     " + Output.Printable(release.Kind));
                text.WriteLine("commit   " + Output.Printable(release.Commit ?? "-"));
                text.WriteLine("message  " + Output.Printable(release.Message));
                foreach (var document in release.Documents ?? []) text.WriteLine("changes  " + Output.Printable($"{document}: {Change(document, int.MaxValue)}"));
                if (release.DocumentCount - release.Documents?.Count is { } more and > 0) text.WriteLine(string.Create(CultureInfo.InvariantCulture, $"         and {more} more documents"));
            });
        });
        return verb;
    }

    /// <summary>The releases that changed one document.</summary>
    public static void PrintHistory(Session session, Page<ReleaseInfo> page)
    {
        session.Output.Result(page, LockstepJson.Default.ReleasePage, text => Output.Table(text, ["RELEASE", "AT", "BY", "KIND", "COMMIT", "MESSAGE", "CHANGES"],
            page.Items.Select(r => new[]
            {
                r.Release.ToString(CultureInfo.InvariantCulture), Output.Time(r.At), r.By, r.Kind, Short(r.Commit), r.Message,
                r.Documents is [var document] ? Change(document, KeysShown) : string.Join(", ", r.Keys.Take(KeysShown)),
            })));
        Remark(session, page);
    }

    private static void Remark(Session session, Page<ReleaseInfo> page)
    {
        if (page.Next is { } next && !session.Json) session.Output.Remark($"there is more: add --before {next}");
    }

    private static string Change(ReleaseDocument document, int shown)
    {
        if (!document.Valid) return "invalid: " + document.Reason;
        var more = document.Keys.Count - shown;
        return string.Join(", ", document.Keys.Take(shown)) + (more > 0 ? string.Create(CultureInfo.InvariantCulture, $" and {more} more") : "");
    }

    private static string? Short(string? commit) => commit is { Length: > 10 } ? commit[..10] : commit;
}
