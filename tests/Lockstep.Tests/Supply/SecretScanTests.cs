using System.Diagnostics;
using System.Text.RegularExpressions;
using Lockstep.Access;
using Lockstep.Tests.Architecture;
using Shouldly;
using Xunit;

namespace Lockstep.Tests.Supply;

/// <summary>Nobody's secret is in the files that are kept under version control.</summary>
public sealed partial class SecretScanTests
{
    // By exact place: what looks like a secret there, and is none.
    private static readonly HashSet<(string Path, string Text)> s_fixtures =
    [
        ("docs/settings.md", "postgres://user:password@"), ("docs/spring.md", "https://hook:lks_\u2026@"), ("src/Lockstep/Settings/ServerOptionsLoader.cs", "postgres://user:password@"),
        ("tests/Lockstep.Robustness/StartFailureTests.cs", "postgres://nobody:hunter2@"), ("tests/Lockstep.Tests/Agent/MaskedStreamTests.cs", "postgres://u:p4ssw0rd@"),
        ("tests/Lockstep.Tests/Agent/MaskedStreamTests.cs", "postgres://u:p4ss%2Fword@"), ("tests/Lockstep.Tests/Client/LockstepClientTests.cs", "https://user:pass@"),
        ("tests/Lockstep.Tests/Compat/Spring/SpringCipherTests.cs", "-----BEGIN RSA PRIVATE KEY-----"), ("tests/Lockstep.Tests/Config/Git/GitRemoteTests.cs", "https://ann:hunter2secret@"),
        ("tests/Lockstep.Tests/Config/Git/GitRemoteTests.cs", "ssh://git:hunter2secret@"), ("tests/Lockstep.Tests/Config/Git/GitRemoteTests.cs", "https://ann:hunter2@"),
        ("tests/Lockstep.Tests/Audit/SettingsRecordTests.cs", "postgres://a:one@"), ("tests/Lockstep.Tests/Audit/SettingsRecordTests.cs", "postgres://a:two@"),
        ("tests/Lockstep.Tests/Server/RestoreTests.cs", "postgres://lockstep:hunter2@"),
        ("tests/Lockstep.Tests/Settings/IssuerSettingsTests.cs", "https://u:hunter2@"), ("tests/Lockstep.Tests/Settings/ServerOptionsTests.cs", "postgres://lockstep:hunter2@"),
        ("tests/Lockstep.Tests/Settings/ServerOptionsTests.cs", "https://me:hunter2@"), ("tests/Lockstep.Tests/Settings/ServerOptionsTests.cs", "http://me:hunter2@"),
        ("tests/Lockstep.Tests/Storage/PostgresTests.cs", "postgres://lockstep:hunter2-marker@"), ("tests/Lockstep.Tests/Storage/PostgresTests.cs", "postgres://u:hunter2-marker@"),
        ("tests/Lockstep.Tests/Storage/PostgresTests.cs", "postgresql://us%40er:p%2Fw@"),
    ];

    [Fact]
    public void No_file_holds_what_looks_like_a_secret()
    {
        var (found, used) = (new List<string>(), new HashSet<(string, string)>());
        foreach (var path in Tracked())
        {
            foreach (var (line, what, text) in Scan(File.ReadAllText(Path.Combine(Repository.Root, path))))
                if (s_fixtures.Contains((path, text))) used.Add((path, text));
                else if (!path.EndsWith("SecretScanTests.cs", StringComparison.Ordinal)) found.Add($"{path}:{line}: {what}");
        }
        // The place and the kind only: a finding may be one.
        found.ShouldBeEmpty();
        s_fixtures.Except(used).ShouldBeEmpty("what is allowed is there");
    }

    [Fact]
    public void Each_kind_is_seen()
    {
        var token = ServiceToken.Create().Export();
        string[] secrets =
        [
            "-----BEGIN " + "EC PRIVATE KEY-----", "aws = AKIA" + "Q3EGRWXYZ2345678", token, "x eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
            "url: postgres://app:" + "s3cr3tpass@db/x", "api_key = " + "kT9vQ2xLw7ZrB4nHs8YdJ1mPf6Gc3AeUo5Xi0RtN", "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5",
        ];
        foreach (var secret in secrets) Scan("first line\n" + secret + "\n").Count().ShouldBe(1, secret);
        foreach (var nothing in new[] { token[..^1] + (token[^1] == 'a' ? 'b' : 'a'), "token: ${secret:shop/db}", "https://example.org:7400/x@y", "the key of a dictionary that is quite long and has many words" })
            Scan(nothing).ShouldBeEmpty();
    }

    private static IEnumerable<(int Line, string What, string Text)> Scan(string text)
    {
        var lines = text.Split('\n');
        for (var i = 0; i < lines.Length; i++)
        {
            // Hashes of packages are no secrets.
            if (lines[i].Length > 20_000 || lines[i].Contains("\"contentHash\"", StringComparison.Ordinal)) continue;
            foreach (Match match in Known().Matches(lines[i])) yield return (i + 1, "a key, token or password", match.Value);
            foreach (Match match in Token().Matches(lines[i]))
                if (ServiceToken.TryParse(match.Value, out _)) yield return (i + 1, "a token of this program", match.Value);
            if (!Words().IsMatch(lines[i])) continue;
            foreach (Match match in Random().Matches(lines[i]))
                if (IsRandom(match.Value) && !Known().IsMatch(lines[i]) && !Token().IsMatch(lines[i])) yield return (i + 1, "random characters beside a word for a secret", match.Value);
        }
    }

    // Names have fewer different characters than keys.
    private static bool IsRandom(string text) =>
        text.Any(char.IsAsciiDigit) && text.Any(char.IsAsciiLetterUpper) && text.Any(char.IsAsciiLetterLower)
        && text.GroupBy(c => c).Sum(g => -(double)g.Count() / text.Length * Math.Log2((double)g.Count() / text.Length)) > 4.4;

    private static IEnumerable<string> Tracked()
    {
        var start = new ProcessStartInfo("git", ["-c", "safe.directory=*", "ls-files", "-z"]) { WorkingDirectory = Repository.Root, RedirectStandardOutput = true };
        using var process = Process.Start(start)!;
        var files = process.StandardOutput.ReadToEnd().Split('\0', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        files.Length.ShouldBeGreaterThan(100);
        return files.Where(f => File.Exists(Path.Combine(Repository.Root, f)));
    }

    [GeneratedRegex(@"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}|\b[a-z][a-z0-9+.-]*://[^\s/:@""'<>${}]*:[^\s/:@""'<>${}]{3,}@|\bgh[pousr]_\w{30,}|\bxox[abp]-[\w-]{10,}|\bsk_live_\w{16,}|\bglpat-[\w-]{16,}", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Known();

    [GeneratedRegex(@"\blks_\w{12}_\w{49}\b", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Token();

    [GeneratedRegex("key|token|secret|password|credential", RegexOptions.IgnoreCase | RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Words();

    [GeneratedRegex("[A-Za-z0-9+/_-]{32,}={0,2}", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 5000)]
    private static partial Regex Random();
}
