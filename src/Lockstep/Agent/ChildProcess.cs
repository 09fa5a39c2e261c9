using System.ComponentModel;
using System.Diagnostics;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>A child that has this process's terminal and streams as they are, and gets its signals.</summary>
internal static class ChildProcess
{
    // errno, the same on Linux and macOS.
    private const int NoEntry = 2;
    private const int TooBig = 7;

    public static async Task<int> RunAsync(string path, IReadOnlyList<string> command, Dictionary<string, string> variables, Action<string> remark, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(FileNameFor(path, command[0])) { UseShellExecute = false };
        for (var i = 1; i < command.Count; i++) start.ArgumentList.Add(command[i]);
        foreach (var name in ChildEnvironment.Removed) start.Environment.Remove(name);
        foreach (var (name, value) in variables) start.Environment[name] = value;

        // Before the start, so that a signal that arrives in between is not lost: it waits for the child.
        using var signals = new SignalForwarder();
        using var process = new Process { StartInfo = start };
        try
        {
            process.Start();
        }
        catch (Win32Exception e) when (e.NativeErrorCode == TooBig)
        {
            throw TooLarge(variables, e);
        }
        catch (Win32Exception e)
        {
            remark($"{command[0]}: can't be executed: {e.Message}");
            return e.NativeErrorCode == NoEntry ? Runner.NotFound : Runner.NotExecutable;
        }
        signals.To(process.Id);
        await process.WaitForExitAsync(cancellationToken);
        signals.Stop();
        return process.ExitCode;
    }

    /// <summary>
    /// The name as it was typed becomes the child's argv[0]; but the runtime looks for it beside this program and in the working directory
    /// before it looks in PATH, so that where something lies there the path that was found stands in its place.
    /// </summary>
    private static string FileNameFor(string path, string typed) =>
        typed.Contains('/', StringComparison.Ordinal) || File.Exists(Path.Combine(AppContext.BaseDirectory, typed)) || File.Exists(typed) ? path : typed;

    private static LockstepException TooLarge(Dictionary<string, string> variables, Exception inner)
    {
        var largest = variables.OrderByDescending(v => v.Value.Length).Select(v => v.Key).FirstOrDefault();
        return new(ErrorCode.TooLarge, $"the arguments and the environment together are larger than this system takes{(largest is null ? "" : $"; the largest variable from the config is {largest}")}", inner);
    }
}
