using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Lockstep.Robustness;

/// <summary>What a finished process left behind.</summary>
internal sealed record ToolResult(int ExitCode, string Output, string Error)
{
    /// <summary>The output of a process that must succeed.</summary>
    public string Ok() => ExitCode == 0 ? Output : throw new InvalidOperationException($"exit status {ExitCode}: {Output}{Error}");
}

/// <summary>Runs other programs. Every wait has a deadline, and processes are ended by id.</summary>
internal static class Tool
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(2);

    /// <summary>How to start a program: nothing of the caller's Lockstep settings reaches it.</summary>
    public static ProcessStartInfo Start(string program, IEnumerable<string> arguments, string? directory = null, IEnumerable<(string Name, string Value)>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = directory ?? "",
        };
        foreach (var name in start.Environment.Keys.Where(k => k.StartsWith("LOCKSTEP_", StringComparison.Ordinal)).ToList()) start.Environment.Remove(name);
        foreach (var (name, value) in environment ?? []) start.Environment[name] = value;
        return start;
    }

    public static Task<ToolResult> RunAsync(string program, params string[] arguments) => RunAsync(Start(program, arguments));

    public static async Task<ToolResult> RunAsync(ProcessStartInfo start, string input = "")
    {
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(s_deadline);
        try
        {
            await process.StandardInput.WriteAsync(input.AsMemory(), deadline.Token);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended without reading its input: its exit status says more.
        }
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException e)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{start.FileName} did not end within {s_deadline}", e);
        }
        return new(process.ExitCode, await output, await error);
    }

    /// <summary>Sends SIGTERM.</summary>
    public static void Terminate(Process process) => Signal(process, 15);

    public static void Signal(Process process, int number) => _ = Kill(process.Id, number);

    /// <summary>A port of the loopback address that nothing listens on now.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Asks every two milliseconds until the answer is true or the deadline has passed.</summary>
    public static async Task UntilAsync(Func<Task<bool>> condition, TimeSpan deadline, string what)
    {
        using var end = new CancellationTokenSource(deadline);
        while (!await condition())
        {
            if (end.IsCancellationRequested) throw new TimeoutException($"{what}: not within {deadline}");
            await Task.Delay(TimeSpan.FromMilliseconds(2), TimeProvider.System, CancellationToken.None);
        }
    }

    [DllImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int pid, int signal);
}
