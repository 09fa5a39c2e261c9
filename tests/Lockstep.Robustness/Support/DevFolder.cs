using System.Diagnostics;

namespace Lockstep.Robustness;

/// <summary>A folder in which <c>lockstep dev</c> runs, with <c>lockstep</c> on the PATH.</summary>
internal sealed class DevFolder : IAsyncDisposable
{
    private readonly Scratch _scratch = new();
    private readonly Scratch _bin = new();

    public DevFolder()
    {
        // The PATH holds the program alone, as an installation does.
        File.CreateSymbolicLink(_bin["lockstep"], PublishedServer.Executable);
    }

    public string Path => _scratch.Path;

    public Running? Dev { get; private set; }

    public string this[string name] => _scratch[name];

    /// <summary>The address that dev printed.</summary>
    public string Address => Printed("Lockstep is ready at ", ' ');

    /// <summary>The repository that dev printed.</summary>
    public string Repository => Printed("git clone ", ' ');

    /// <summary>The commands that dev printed.</summary>
    public IReadOnlyList<string> Commands =>
        [.. Dev!.Output.Split('\n').SkipWhile(l => !l.StartsWith("Try", StringComparison.Ordinal)).Skip(1).TakeWhile(l => l.StartsWith("  ", StringComparison.Ordinal)).Select(l => l.Trim())];

    public async Task StartAsync()
    {
        Dev = Running.Start(Start("lockstep", "dev"));
        await Dev.SaysAsync("Stop with Ctrl-C");
    }

    /// <summary>A program in this folder.</summary>
    public ProcessStartInfo Start(string program, params string[] arguments) => Tool.Start(program == "lockstep" ? _bin["lockstep"] : program, arguments, Path,
    [
        ("PATH", _bin.Path + ":" + Environment.GetEnvironmentVariable("PATH")), ("HOME", _bin.Path), ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Test"), ("GIT_AUTHOR_EMAIL", "test@example.org"), ("GIT_COMMITTER_NAME", "Test"), ("GIT_COMMITTER_EMAIL", "test@example.org"),
    ]);

    public Task<ToolResult> ShellAsync(string script) => Tool.RunAsync(Start("sh", "-e", "-c", script));

    public async ValueTask DisposeAsync()
    {
        if (Dev is not null) await Dev.DisposeAsync();
        _scratch.Dispose();
        _bin.Dispose();
    }

    private string Printed(string before, char end)
    {
        var output = Dev!.Output;
        var from = output.IndexOf(before, StringComparison.Ordinal) + before.Length;
        return output[from..output.IndexOf(end, from)];
    }
}
