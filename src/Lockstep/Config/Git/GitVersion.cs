using System.Globalization;
using System.Text.RegularExpressions;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>The check that the git program is there and new enough.</summary>
internal static partial class GitVersion
{
    /// <summary>The first whose <c>core.fsync</c> covers refs: older ones can lose an acknowledged commit at a power cut.</summary>
    public static readonly Version Oldest = new(2, 36);

    public static async Task CheckAsync(GitProcess git, CancellationToken cancellationToken)
    {
        var result = await git.RunAsync("the version of git cannot be read", new GitCommand("version"), cancellationToken);
        Check(result.Text);
    }

    public static void Check(string text)
    {
        var match = Number().Match(text);
        if (!match.Success)
            throw new LockstepException(ErrorCode.Unavailable, $"the program git on PATH does not tell its version: install git {Oldest} or newer");
        var version = new Version(int.Parse(match.Groups["major"].Value, CultureInfo.InvariantCulture), int.Parse(match.Groups["minor"].Value, CultureInfo.InvariantCulture));
        if (version < Oldest)
            throw new LockstepException(ErrorCode.Unavailable, $"git {version} is too old: install git {Oldest} or newer");
    }

    [GeneratedRegex(@"^git version (?<major>\d{1,4})\.(?<minor>\d{1,4})", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Number();
}
