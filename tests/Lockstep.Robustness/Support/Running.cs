using System.Diagnostics;
using System.Text;

namespace Lockstep.Robustness;

/// <summary>A program that is under way: its lines as they come, signals, its end. Ended when disposed.</summary>
internal sealed class Running : IAsyncDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly StringBuilder _output = new();

    private Running(Process process) => _process = process;

    public Process Process => _process;

    /// <summary>Output and errors so far.</summary>
    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

    /// <summary>Starts it in a session of its own and with the default action for each signal, whatever runs the tests: no terminal, nothing ignored.</summary>
    public static Running Start(ProcessStartInfo start)
    {
        var own = Tool.Start("env", ["--default-signal=HUP,INT,QUIT", "setsid", start.FileName, .. start.ArgumentList], start.WorkingDirectory);
        own.Environment.Clear();
        foreach (var (name, value) in start.Environment) own.Environment[name] = value;
        var running = new Running(new Process { StartInfo = own });
        running._process.OutputDataReceived += running.Keep;
        running._process.ErrorDataReceived += running.Keep;
        running._process.Start();
        running._process.BeginOutputReadLine();
        running._process.BeginErrorReadLine();
        running._process.StandardInput.Close();
        return running;
    }

    /// <summary>Waits until its output holds a text.</summary>
    public async Task SaysAsync(string text)
    {
        await Tool.UntilAsync(() => Task.FromResult(Output.Contains(text, StringComparison.Ordinal) || _process.HasExited), s_deadline, $"'{text}' in: {Output}");
        // What a process wrote at its end may still be on its way.
        if (_process.HasExited) await _process.WaitForExitAsync();
        if (!Output.Contains(text, StringComparison.Ordinal)) throw new InvalidOperationException($"It ended with {_process.ExitCode} and without '{text}': {Output}");
    }

    public async Task<int> EndedAsync()
    {
        using var deadline = new CancellationTokenSource(s_deadline);
        await _process.WaitForExitAsync(deadline.Token);
        return _process.ExitCode;
    }

    public async Task<int> SignalAsync(int number)
    {
        Tool.Signal(_process, number);
        return await EndedAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync();
        }
        _process.Dispose();
    }

    private void Keep(object sender, DataReceivedEventArgs line)
    {
        if (line.Data is null) return;
        lock (_output) _output.AppendLine(line.Data);
    }
}
