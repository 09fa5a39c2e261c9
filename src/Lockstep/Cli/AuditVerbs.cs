using System.CommandLine;
using System.Globalization;
using Lockstep.Client;

namespace Lockstep.Cli;

/// <summary><c>lockstep audit …</c>.</summary>
internal static class AuditVerbs
{
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromSeconds(1);

    public static Command Build(GlobalOptions globals) =>
        new("audit", "Read the record of who did what, and check that nobody changed it") { Tail(globals), Verify(globals), Exposure(globals), Export(globals) };

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
        var verb = new Verb("verify", "Check the chain of the record: exit status 0 if every entry is as it was written, 1 if not", "lockstep audit verify")
        {
            Details = """
                Finds entries that were changed, removed, added or moved by somebody who can write to the database, and, by
                the checkpoints that the server keeps outside of it, a record whose end was cut off.
                """,
        };
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var result = await session.Client.VerifyAuditAsync(cancellationToken);
            session.Output.Result(result, LockstepJson.Default.AuditVerification, text => text.WriteLine(result.FirstBad is { } bad
                ? Output.Printable("NOT valid: " + (bad.Seq > 0 ? string.Create(CultureInfo.InvariantCulture, $"entry {bad.Seq} of node {bad.Node}: ") : "") + bad.Reason)
                : string.Create(CultureInfo.InvariantCulture, $"{(result.Valid ? "valid" : "NOT valid")}: {result.Entries} entries")));
            return result.Valid ? 0 : 1;
        });
        return verb;
    }

    private static Verb Exposure(GlobalOptions globals)
    {
        var verb = new Verb("exposure", "List every secret and version that a token was given, by the record",
            "lockstep audit exposure payments-prod",
            "lockstep audit exposure payments-prod --since 24h --json")
        {
            Details = """
                In documents, in pushes, and one by one; with what tokens derived from it were given. A name stands
                for every token that has it or had it, SUBJECT@ISSUER (its URL without https://) for a caller of an issuer.
                These are the secrets to change when the token has leaked.
                """,
        };
        var token = new Argument<string>("NAME") { Description = "The token's id or name" };
        var since = TimeOption("--since", "From when on; without it from the beginning of the record");
        verb.Add(token);
        verb.Add(since);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var report = await session.Client.GetExposureAsync(session.Get(token), Time(session, since), cancellationToken);
            session.Output.Result(report, LockstepJson.Default.ExposureReport, text => Output.Table(text,
                ["SECRET", "VERSION", "FIRST", "LAST", "COUNT", "INSTANCES", "ADDRESSES", "ROUTES"],
                report.Items.Select(i => new[]
                {
                    i.Secret, i.Version.ToString(CultureInfo.InvariantCulture), Output.Time(i.First), Output.Time(i.Last), i.Count.ToString(CultureInfo.InvariantCulture),
                    Some(i.Instances), Some(i.Addresses), Some(i.Routes),
                })));
            if (report.Truncated) session.Output.Remark("there is more than is listed");
            if (report.Items.Any(i => i.More)) session.Output.Remark("there were more instances, addresses or routes than are listed");
        });
        return verb;
    }

    private static Verb Export(GlobalOptions globals)
    {
        var verb = new Verb("export", "Write the entries of the record to standard output, oldest first, a JSON line each",
            "lockstep audit export --since 2026-01-01 --until 2026-02-01 > january.jsonl",
            "lockstep audit export --since 24h")
        {
            Details = """
                Each line begins with node, seq and mac, its place in the chain. Exit status 0 means that it is whole. That the
                record was exported is entered in it.
                """,
        };
        var since = TimeOption("--since", "From when on; without it from the beginning of the record");
        var until = TimeOption("--until", "Up to when; without it until now");
        verb.Add(since);
        verb.Add(until);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            await using var output = Console.OpenStandardOutput();
            await session.Client.ExportAuditAsync(output, Time(session, since), Time(session, until), cancellationToken);
        });
        return verb;
    }

    private static Option<string?> TimeOption(string name, string description) =>
        new(name) { Description = description + ": a time in UTC such as 2026-01-31 or 2026-01-31T23:59:00Z, or how long ago, such as 24h", HelpName = "TIME" };

    private static DateTimeOffset? Time(Session session, Option<string?> option)
    {
        if (session.Get(option) is not { } text) return null;
        if (Durations.TryParse(text, out var ago)) return TimeProvider.System.GetUtcNow() - ago;
        return DateTimeOffset.TryParseExact(text, ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK"], CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time)
            ? time
            : throw new LockstepException(ErrorCode.BadRequest, $"{option.Name} is a time such as 2026-01-31 or 2026-01-31T23:59:00Z, or a duration such as 24h");
    }

    private static string Some(IReadOnlyList<string> names) =>
        string.Join(", ", names.Take(3)) + (names.Count > 3 ? string.Create(CultureInfo.InvariantCulture, $" and {names.Count - 3} more") : "");

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
