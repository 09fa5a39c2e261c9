using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep audit …</c>.</summary>
internal static class AuditVerbs
{
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromSeconds(1);

    public static Command Build(GlobalOptions globals) =>
        new("audit", "Read the record of who did what, and check that nobody changed it") { Tail(globals), Verify(globals) };

    private static Verb Tail(GlobalOptions globals)
    {
        var verb = new Verb("tail", "Show the newest entries of the record, oldest of them first; with --json a line each",
            "lockstep audit tail -n 50",
            "lockstep audit tail --follow --json");
        var count = new Option<int>("--lines", "-n") { Description = "How many; 1 to 1000", HelpName = "N", DefaultValueFactory = _ => 20 };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with new entries until interrupted" };
        verb.Add(count);
        verb.Add(follow);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var lines = session.Get(count);
            if (lines is < 1 or > 1000) throw new LockstepException(ErrorCode.BadRequest, "--lines is 1 to 1000");
            var seen = new Dictionary<string, long>(StringComparer.Ordinal);
            Print(session, await NewestAsync(session.Client, lines, seen, cancellationToken), seen);
            while (session.Get(follow))
            {
                await Task.Delay(s_pollInterval, TimeProvider.System, cancellationToken);
                Print(session, await NewestAsync(session.Client, int.MaxValue, seen, cancellationToken), seen);
            }
        });
        return verb;
    }

    private static Verb Verify(GlobalOptions globals)
    {
        var verb = new Verb("verify", "Check the chain of the record: exit status 0 if every entry is as it was written, 1 if not", "lockstep audit verify");
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var result = await session.Client.VerifyAuditAsync(cancellationToken);
            session.Output.Result(result, LockstepJson.Default.AuditVerification, text => text.WriteLine(result.FirstBad is { } bad
                ? Output.Printable(string.Create(CultureInfo.InvariantCulture, $"NOT valid: entry {bad.Seq} of node {bad.Node}: {bad.Reason}"))
                : string.Create(CultureInfo.InvariantCulture, $"{(result.Valid ? "valid" : "NOT valid")}: {result.Entries} entries")));
            return result.Valid ? 0 : 1;
        });
        return verb;
    }

    /// <summary>The newest entries that were not seen, oldest first. Numbers rise within a node, so that one of each node tells what was.</summary>
    private static async Task<List<AuditEntryInfo>> NewestAsync(LockstepClient client, int limit, Dictionary<string, long> seen, CancellationToken cancellationToken)
    {
        var entries = new List<AuditEntryInfo>();
        string? after = null;
        do
        {
            var page = await client.ListAuditAsync(after, Math.Min(limit - entries.Count, 200), cancellationToken);
            var fresh = page.Items.Where(e => e.Seq > seen.GetValueOrDefault(e.Node)).ToList();
            entries.AddRange(fresh);
            after = fresh.Count < page.Items.Count && seen.Count > 0 ? null : page.Next;
        }
        while (after is not null && entries.Count < limit && (seen.Count > 0 || limit < int.MaxValue));
        entries.Reverse();
        return entries;
    }

    private static void Print(Session session, List<AuditEntryInfo> entries, Dictionary<string, long> seen)
    {
        foreach (var entry in entries)
        {
            seen[entry.Node] = Math.Max(entry.Seq, seen.GetValueOrDefault(entry.Node));
            // One line each: with the wire's own names.
            session.Output.Text.WriteLine(session.Json ? Output.ToJson(entry, LockstepJson.Default.AuditEntryInfo) : Output.Printable(Line(entry)));
        }
        session.Output.Text.Flush();
    }

    private static string Line(AuditEntryInfo e)
    {
        var line = $"{Output.Time(e.At)}  {e.Decision,-7}  {e.Action,-16}  {e.Actor ?? "-"}  {e.Subject ?? "-"}";
        if (e.Secrets.Count > 0) line += "  " + string.Join(",", e.Secrets);
        if (e.Release is { } release) line += string.Create(CultureInfo.InvariantCulture, $"  release {release}");
        if (e.Count > 1) line += string.Create(CultureInfo.InvariantCulture, $"  ×{e.Count}");
        if (e.Address is not null) line += "  from " + e.Address;
        return e.Detail is null ? line : $"{line}  ({e.Detail})";
    }
}
