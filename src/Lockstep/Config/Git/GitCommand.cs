namespace Lockstep.Config.Git;

/// <summary>One run of git. Arguments that come from outside are validated by the caller or stand behind <c>--end-of-options</c>.</summary>
internal sealed record GitCommand(params string[] Arguments)
{
    public ReadOnlyMemory<byte> Input { get; init; }

    public IReadOnlyDictionary<string, string>? Environment { get; init; }

    /// <summary>Config for this run alone; wins over everything else.</summary>
    public (string Key, string Value)[] Config { get; init; } = [];

    /// <summary>Whether the run talks to the remote: only then are its protocol allowed and its credentials handed over.</summary>
    public bool UsesRemote { get; init; }

    /// <summary>
    /// Whether it runs as the user's own git does, in a clone of theirs that it finds where <c>-C</c> says: with their config, which says what is ignored and which
    /// directories are safe. For commands that only read.
    /// </summary>
    public bool AsUser { get; init; }

    public TimeSpan? Timeout { get; init; }

    public int? OutputLimit { get; init; }

    /// <summary>Asked a few times a second; true ends the run as <see cref="GitOutcome.Stopped"/>.</summary>
    public Func<bool>? StopWhen { get; init; }
}

internal enum GitOutcome { Exited, TimedOut, OutputTooLarge, Stopped }

/// <param name="Error">Bounded, one line, without credentials or control characters.</param>
internal sealed record GitResult(GitOutcome Outcome, int ExitCode, ReadOnlyMemory<byte> Output, string Error)
{
    public bool Succeeded => Outcome == GitOutcome.Exited && ExitCode == 0;

    public string Text => System.Text.Encoding.UTF8.GetString(Output.Span).TrimEnd('\n');

    public string Reason => Outcome switch
    {
        GitOutcome.TimedOut => "it took too long and was ended",
        GitOutcome.OutputTooLarge => "its output is over the limit",
        GitOutcome.Stopped => "it was stopped",
        _ when Error.Length > 0 => Error,
        _ => $"git ended with status {ExitCode}",
    };
}
