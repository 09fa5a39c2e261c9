using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Lockstep.Client;

namespace Lockstep.Config.Git;

/// <summary>
/// Runs git on one repository. Nothing of our own environment but PATH gets through, no config file but the repository's own is read (but see <see cref="GitCommand.AsUser"/>), no hook,
/// pager, prompt or helper runs, and every run is bounded in time and output; at a bound the whole process tree is ended.
/// </summary>
internal sealed partial class GitProcess(string gitDirectory, GitRemote? remote, GitLimits limits, TimeProvider time, string? objects = null)
{
    private const int ErrorBytes = 16 * 1024;
    private static readonly TimeSpan s_grace = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_watchEvery = TimeSpan.FromMilliseconds(200);

    // Where git finds a user's config.
    private static readonly string[] s_user = ["HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"];

    // These win over the repository's own config. Objects of a remote are not put through fsck: nothing is ever checked out, so hostile names do no harm,
    // and many old repositories hold objects that fsck calls malformed. Their hashes are always verified.
    private static readonly (string Key, string Value)[] s_config =
    [
        ("core.hooksPath", "/dev/null"),
        // Above this git passes a file through; below it is held in memory, perhaps several at once.
        ("core.bigFileThreshold", "8m"),
        ("core.fsmonitor", "false"),
        ("core.fsync", "all"),
        ("core.fsyncMethod", "fsync"),
        ("core.logAllRefUpdates", "false"),
        ("protocol.ext.allow", "never"),
        ("credential.helper", ""),
        ("http.followRedirects", "initial"),
        ("http.lowSpeedLimit", "100"),
        ("http.lowSpeedTime", "60"),
        ("transfer.fsckObjects", "false"),
        ("fetch.showForcedUpdates", "false"),
        ("gc.auto", "0"),
        ("gc.autoDetach", "false"),
        ("maintenance.auto", "false"),
    ];

    /// <summary>For runs that read what anybody may have made: git ends before it takes more memory than this at once.</summary>
    public static (string Key, string Value) AllocationLimit => ("GIT_ALLOC_LIMIT", "64m");

    /// <summary>The bare repository; also HOME, which keeps the user's <c>.netrc</c> and the like out.</summary>
    public string Directory => gitDirectory;

    /// <summary>Whether objects lie in another directory beside the repository's own (<see cref="With"/>).</summary>
    public bool IsOverlay => objects is not null;

    public GitLimits Limits => limits;

    public TimeProvider Time => time;

    /// <summary>The same repository with objects in another directory beside its own; what is written goes there. It must be inside the repository's directory.</summary>
    public GitProcess With(string objectDirectory) => new(gitDirectory, remote, limits, time, objectDirectory);

    /// <summary>Runs to the end. A command that git refuses is a result, not an exception; a missing git program and cancellation are exceptions.</summary>
    public async Task<GitResult> RunAsync(GitCommand command, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var process = Start(command);
        using var timeout = new CancellationTokenSource(command.Timeout ?? limits.Command, time);
        using var stopped = new CancellationTokenSource();
        using var overflow = new CancellationTokenSource();
        using var any = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token, stopped.Token, overflow.Token);

        var output = ReadAsync(process.StandardOutput.BaseStream, command.OutputLimit ?? limits.OutputBytes, overflow);
        var error = ReadAsync(process.StandardError.BaseStream, ErrorBytes, null);
        var finished = Task.WhenAll(output, error, WriteAsync(process, command.Input), process.WaitForExitAsync(CancellationToken.None));
        var watch = WatchAsync(command.StopWhen, stopped, any.Token);
        try
        {
            await finished.WaitAsync(any.Token);
        }
        catch (OperationCanceledException)
        {
            EndTree(process);
            // A process that slipped out of the tree may hold the pipes open; it is not waited for.
            await Task.WhenAny(finished, Task.Delay(s_grace, time, CancellationToken.None));
        }

        var ended = finished.IsCompleted;
        var outcome = overflow.IsCancellationRequested ? GitOutcome.OutputTooLarge
            : ended && !any.IsCancellationRequested ? GitOutcome.Exited
            : stopped.IsCancellationRequested ? GitOutcome.Stopped
            : GitOutcome.TimedOut;
        await any.CancelAsync();
        await watch;
        cancellationToken.ThrowIfCancellationRequested();
        return new GitResult(
            outcome, outcome == GitOutcome.Exited ? process.ExitCode : -1, ended ? await output : default, ended ? Scrub(await error) : "");
    }

    /// <summary>Runs to the end and throws unless git succeeded.</summary>
    /// <param name="what">What failed, for the message: <c>the files of commit … cannot be listed</c>.</param>
    public async Task<GitResult> RunAsync(string what, GitCommand command, CancellationToken cancellationToken)
    {
        var result = await RunAsync(command, cancellationToken);
        return result.Succeeded ? result : throw Failure(what, result);
    }

    public LockstepException Failure(string what, GitResult result) => new(
        ErrorCode.Unavailable, $"{what}: {result.Reason}. `git --git-dir={gitDirectory} fsck` tells whether the repository is damaged.");

    /// <summary>Starts git with its three streams redirected. The caller ends it with <see cref="EndTree"/>.</summary>
    public Process Start(GitCommand command)
    {
        var start = new ProcessStartInfo("git")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = gitDirectory,
        };
        foreach (var argument in command.Arguments)
            start.ArgumentList.Add(argument);
        FillEnvironment(start.Environment, command);
        try
        {
            return Process.Start(start)!;
        }
        catch (Exception e) when (e is Win32Exception or FileNotFoundException)
        {
            throw new LockstepException(
                ErrorCode.Unavailable,
                System.IO.Directory.Exists(gitDirectory)
                    ? $"the program git cannot be started: install git {GitVersion.Oldest} or newer and see that it is on PATH"
                    : $"the repository {gitDirectory} is gone: restore it, or start the server again",
                e);
        }
    }

    /// <summary>Ends a process with everything it started. Harmless on one that has ended.</summary>
    public static void EndTree(Process process)
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception e) when (e is InvalidOperationException or Win32Exception or AggregateException or NotSupportedException)
        {
        }
    }

    /// <summary>Text of git's or a remote's for messages: without user names and passwords of URLs, on one line, bounded.</summary>
    public static string Scrub(ReadOnlyMemory<byte> text)
    {
        var lines = Encoding.UTF8.GetString(text.Span).Split(['\n', '\r'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var line = UserInfo().Replace(string.Join("; ", lines.TakeLast(6)), "://");
        line = string.Concat(line.Select(c => char.IsControl(c) ? ' ' : c));
        return line.Length <= 600 ? line : string.Concat(line.AsSpan(0, 600), "…");
    }

    [GeneratedRegex(@"://[^/\s]*@", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex UserInfo();

    private void FillEnvironment(IDictionary<string, string?> environment, GitCommand command)
    {
        var path = environment.TryGetValue("PATH", out var p) ? p : null;
        var inherited = new Dictionary<string, string?>(environment, StringComparer.Ordinal);
        environment.Clear();
        environment["PATH"] = string.IsNullOrEmpty(path) ? "/usr/local/bin:/usr/bin:/bin" : path;
        if (command.AsUser)
        {
            foreach (var name in s_user)
                if (inherited.TryGetValue(name, out var value)) environment[name] = value;
        }
        else
        {
            environment["HOME"] = gitDirectory;
            environment["GIT_DIR"] = gitDirectory;
            environment["GIT_CONFIG_NOSYSTEM"] = "1";
            environment["GIT_ATTR_NOSYSTEM"] = "1";
            environment["GIT_CONFIG_GLOBAL"] = "/dev/null";
        }
        environment["LC_ALL"] = "C";
        environment["GIT_TERMINAL_PROMPT"] = "0";
        environment["GIT_ASKPASS"] = "";
        environment["SSH_ASKPASS"] = "";
        environment["GIT_PAGER"] = "cat";
        environment["GIT_OPTIONAL_LOCKS"] = "0";
        environment["GIT_NO_LAZY_FETCH"] = "1";
        environment["GIT_NO_REPLACE_OBJECTS"] = "1";
        environment["GIT_ALLOW_PROTOCOL"] = "none";

        if (objects is not null)
        {
            environment["GIT_OBJECT_DIRECTORY"] = objects;
            environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = Path.Combine(gitDirectory, "objects");
        }

        var config = new List<(string Key, string Value)>(s_config);
        if (command.UsesRemote)
            remote!.Fill(environment, config, inherited, gitDirectory);
        // What is only looked at need not outlive a power cut.
        if (objects is not null)
            config.Add(("core.fsync", "none"));
        config.AddRange(command.Config);
        for (var i = 0; i < config.Count; i++)
        {
            environment[$"GIT_CONFIG_KEY_{i}"] = config[i].Key;
            environment[$"GIT_CONFIG_VALUE_{i}"] = config[i].Value;
        }

        environment["GIT_CONFIG_COUNT"] = config.Count.ToString(CultureInfo.InvariantCulture);
        if (command.Environment is null)
            return;
        foreach (var (key, value) in command.Environment)
            environment[key] = value;
    }

    private static async Task WriteAsync(Process process, ReadOnlyMemory<byte> input)
    {
        try
        {
            await process.StandardInput.BaseStream.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading everything; its status says why.
        }
    }

    /// <summary>Reads to the end. What is over the limit is dropped, and told to <paramref name="overflow"/> when there is one.</summary>
    private static async Task<ReadOnlyMemory<byte>> ReadAsync(Stream stream, int limit, CancellationTokenSource? overflow)
    {
        var kept = new MemoryStream();
        var buffer = new byte[64 * 1024];
        try
        {
            int read;
            while ((read = await stream.ReadAsync(buffer)) > 0)
            {
                var take = (int)Math.Min(read, limit - kept.Length);
                kept.Write(buffer, 0, take);
                if (take < read && overflow is not null)
                {
                    await overflow.CancelAsync();
                    break;
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // Abandoned after the grace.
        }

        return kept.GetBuffer().AsMemory(0, (int)kept.Length);
    }

    private async Task WatchAsync(Func<bool>? stopWhen, CancellationTokenSource stopped, CancellationToken end)
    {
        if (stopWhen is null)
            return;
        try
        {
            while (!stopWhen())
                await Task.Delay(s_watchEvery, time, end);
            await stopped.CancelAsync();
        }
        catch (OperationCanceledException)
        {
        }
    }
}
