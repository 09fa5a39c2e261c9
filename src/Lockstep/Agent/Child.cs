using System.Diagnostics;

namespace Lockstep.Agent;

/// <summary>A process that was started, and its output where that is masked.</summary>
internal sealed class Child
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);

    private readonly Lock _lock = new();
    private readonly Process _process;
    private readonly OutputPump[] _pumps;
    private bool _ended;

    public Child(Process process, OutputPump[] pumps)
    {
        _process = process;
        _pumps = pumps;
        Id = process.Id;
        Exited = EndAsync();
    }

    public int Id { get; }

    /// <summary>Done when the process has ended and what it wrote is through; the result is its exit status, 128+n when signal n ended it.</summary>
    public Task<int> Exited { get; }

    /// <summary>Sends a signal, unless the process has ended: its number may belong to another one by then.</summary>
    public void Signal(int number)
    {
        lock (_lock)
            if (!_ended)
                Signals.Send(Id, number);
    }

    /// <summary>
    /// SIGTERM, then SIGKILL when the time is over; done when the process has ended. SIGKILL reaches all that it started, as nobody is left to tell them.
    /// </summary>
    public async Task StopAsync(TimeSpan patience, TimeProvider time)
    {
        Signal(Signals.Term);
        using var over = new CancellationTokenSource(patience, time);
        try
        {
            await Exited.WaitAsync(over.Token);
        }
        catch (OperationCanceledException)
        {
            Kill(new ProcessTree(Id));
            await Exited;
        }
    }

    /// <summary>The same for the process and all that it started and that can be found: nothing is to be left that holds what the process was given.</summary>
    public async Task StopAllAsync(TimeSpan patience, TimeProvider time)
    {
        var tree = new ProcessTree(Id);
        if (!Exited.IsCompleted) tree.Signal(Signals.Term);
        Signal(Signals.Term);
        using var over = new CancellationTokenSource(patience, time);
        try
        {
            // What is started meanwhile is told as well.
            while (tree.Signal(Signals.Term, newOnly: true) || !Exited.IsCompleted) await Task.Delay(s_look, time, over.Token);
        }
        catch (OperationCanceledException)
        {
            Kill(tree);
        }
        await Exited;
    }

    private void Kill(ProcessTree tree)
    {
        tree.Signal(Signals.Kill);
        Signal(Signals.Kill);
        // What one of them started just before its end.
        tree.Signal(Signals.Kill);
    }

    private async Task<int> EndAsync()
    {
        await _process.WaitForExitAsync();
        lock (_lock) _ended = true;
        foreach (var pump in _pumps) pump.Finish();
        var status = _process.ExitCode;
        _process.Dispose();
        return status;
    }
}
