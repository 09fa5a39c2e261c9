using System.ComponentModel;
using System.CommandLine;
using System.Diagnostics;
using Lockstep.Client;
using Lockstep.Config.Git;

namespace Lockstep.Cli;

/// <summary><c>lockstep doctor</c>: looks at everything a client needs, says what is wrong and what to do about it.</summary>
internal static class DoctorVerb
{
    private static readonly TimeSpan s_maxSkew = TimeSpan.FromSeconds(30);

    public static Command Build(GlobalOptions globals)
    {
        var verb = new Verb("doctor", "Check settings, server, token, clock and git, and say what to do",
            "lockstep doctor",
            "lockstep doctor --config /etc/lockstep/server.yaml",
            "lockstep doctor --json | jq '.checks[] | select(.state != \"ok\")'")
        {
            Details = """
                With --config or --data it checks what a server needs on this machine too. Exit status 0 if nothing failed, 1 if something did.
                """,
        };
        var flags = new ServerFlags(verb);
        globals.Action(verb, async (session, cancellationToken) =>
        {
            var findings = new List<Finding>();
            findings.AddRange(await ClientAsync(session, cancellationToken));
            findings.Add(await GitAsync(cancellationToken));
            if (flags.AreGiven(session)) findings.AddRange(ServerChecks.Run(() => flags.Load(session)));
            var report = new DoctorReport(findings.TrueForAll(f => f.State != "failed"), findings);
            session.Output.Result(report, CliJson.Default.DoctorReport, text => Print(report, text));
            return report.Healthy ? 0 : 1;
        });
        return verb;
    }

    private static void Print(DoctorReport report, TextWriter text)
    {
        foreach (var finding in report.Checks)
        {
            text.WriteLine(Output.Printable($"{finding.State,-7}  {finding.Check,-8}  {finding.Detail}"));
            if (finding.Advice is not null) text.WriteLine(Output.Printable($"{"",-19}→ {finding.Advice}"));
        }
    }

    private static async Task<List<Finding>> ClientAsync(Session session, CancellationToken cancellationToken)
    {
        ClientSettings settings;
        try
        {
            settings = session.Settings;
        }
        catch (LockstepException e)
        {
            return [Finding.Failed("settings", e.Message)];
        }
        var findings = new List<Finding>
        {
            Finding.Ok("settings", $"address {settings.AddressFound.Value} (from {settings.AddressFound.Origin})"),
            settings.Token is { } token
                ? Finding.Ok("settings", $"token from {token.Origin}")
                : Finding.Warning("settings", "no token", "set LOCKSTEP_TOKEN or LOCKSTEP_TOKEN_FILE, give --token-file FILE, or run: lockstep login"),
            Finding.Ok("settings", $"service {settings.Service ?? "not set"}, environment {settings.Environment ?? "not set"}{(settings.Project is { } project ? $" ({project.Path})" : "")}"),
        };
        try
        {
            using var client = settings.Connect(withToken: true);
            var before = TimeProvider.System.GetUtcNow();
            var clock = await client.PingAsync(cancellationToken);
            findings.Add(Finding.Ok("server", $"{client.Address} answers"));
            if (clock is { } theirs) findings.Add(Clock(theirs - before));
            if (settings.Token is null) return findings;
            var me = await client.WhoAmIAsync(cancellationToken);
            findings.Add(Finding.Ok("token", $"{me.Name} with the role {string.Join(", ", me.Roles.Select(r => r.Role))}{(me.ExpiresAt is { } end ? ", until " + Output.Time(end) : "")}"));
        }
        catch (LockstepException e)
        {
            findings.Add(Finding.Failed(e.Code == ErrorCode.Unauthenticated ? "token" : "server", e.Message));
        }
        return findings;
    }

    private static Finding Clock(TimeSpan skew) =>
        skew.Duration() <= s_maxSkew
            ? Finding.Ok("clock", $"within {Durations.Format(s_maxSkew)} of the server's")
            : Finding.Warning("clock", $"{Durations.Format(TimeSpan.FromSeconds(Math.Round(skew.Duration().TotalSeconds)))} {(skew > TimeSpan.Zero ? "behind" : "ahead of")} the server's",
                "set the clock of this machine or the server's: expiries are judged by it");

    private static async Task<Finding> GitAsync(CancellationToken cancellationToken)
    {
        var advice = $"install git {GitVersion.Oldest} or newer; a server and `lockstep dev` need it, other verbs do not";
        try
        {
            using var git = Process.Start(new ProcessStartInfo("git", ["--version"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
            var output = (await git.StandardOutput.ReadToEndAsync(cancellationToken)).Trim();
            await git.WaitForExitAsync(cancellationToken);
            var digits = string.Concat(output.SkipWhile(c => !char.IsAsciiDigit(c)).TakeWhile(c => char.IsAsciiDigit(c) || c == '.')).Trim('.');
            return Version.TryParse(digits, out var version) && version >= GitVersion.Oldest
                ? Finding.Ok("git", output)
                : Finding.Warning("git", output.Length > 0 ? output : "git tells no version", advice);
        }
        catch (Win32Exception)
        {
            return Finding.Warning("git", "git is not installed", advice);
        }
    }
}
