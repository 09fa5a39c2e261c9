using System.Diagnostics;
using Lockstep.Tests.Client;
using Lockstep.Tests.Support;

namespace Lockstep.Tests.Cli;

/// <summary>The built program, run as a process in a directory of its own, without the settings of whoever runs the tests.</summary>
internal sealed class LockstepProcess : IDisposable
{
    public const string Token = "lks_test_token";

    private readonly TempDirectory _directory = new();

    public static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "lockstep.exe" : "lockstep");

    public string Directory => _directory.Path;

    public Dictionary<string, string?> Environment { get; } = new(StringComparer.Ordinal) { ["LOCKSTEP_TOKEN"] = Token };

    public static LockstepProcess For(FakeServer server)
    {
        var process = new LockstepProcess();
        process.Environment["LOCKSTEP_ADDR"] = server.Address.ToString();
        return process;
    }

    public string WriteFile(string name, string text, UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite)
    {
        var path = Path.Combine(Directory, name);
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        File.SetUnixFileMode(path, mode);
        return path;
    }

    public Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Executable, arguments)
        {
            WorkingDirectory = Directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
        };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("LOCKSTEP_", StringComparison.Ordinal)).ToList()) start.Environment.Remove(name);
        // Who has a home of its own has its settings there.
        start.Environment["XDG_CONFIG_HOME"] = Environment.ContainsKey("HOME") ? "" : Path.Combine(Directory, "config");
        foreach (var (name, value) in Environment) start.Environment[name] = value;
        return Process.Start(start)!;
    }

    public Task<Ended> RunAsync(params string[] arguments) => RunWithInputAsync("", arguments);

    public async Task<Ended> RunWithInputAsync(string input, params string[] arguments)
    {
        using var process = Start(arguments);
        try
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading.
        }
        return await EndAsync(process);
    }

    public static async Task<Ended> EndAsync(Process process)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        try
        {
            var (output, error) = (process.StandardOutput.ReadToEndAsync(deadline.Token), process.StandardError.ReadToEndAsync(deadline.Token));
            await process.WaitForExitAsync(deadline.Token);
            return new Ended(process.ExitCode, await output, await error);
        }
        catch (OperationCanceledException e)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException("lockstep did not end", e);
        }
    }

    public void Dispose() => _directory.Dispose();

    public sealed record Ended(int ExitCode, string Output, string Error);
}
