using System.Runtime.InteropServices;

namespace Lockstep.Agent;

/// <summary>
/// Takes the signals that are meant for the children and passes them on to each that runs: one, or two while a new one takes over. What a terminal
/// sends (Ctrl-C, Ctrl-\, Ctrl-Z, a new size) goes to the whole foreground group, so that they have it already: those are not passed on while this
/// process is in the foreground.
/// </summary>
internal sealed partial class SignalForwarder : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<int> _waiting = [];
    private readonly List<Child> _children = [];
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int? _stop;
    private bool _replacing;

    public SignalForwarder()
    {
        if (OperatingSystem.IsWindows()) return;
        foreach (var signal in new[] { Signals.Hup, Signals.Term, Signals.Usr1, Signals.Usr2, Signals.Cont }) Register(signal, () => Forward(signal));
        foreach (var signal in new[] { Signals.Int, Signals.Quit }) Register(signal, () => ForwardStop(signal));
        Register(Signals.Winch, () => ForwardUnlessFromTerminal(Signals.Winch));
        Signals.HandlePipe();
        Register(Signals.TerminalStop, () =>
        {
            ForwardUnlessFromTerminal(Signals.TerminalStop);
            // This process sleeps as long as its child, as whoever waits for it expects.
            Signals.Send(Environment.ProcessId, Signals.Stop);
        });
    }

    /// <summary>Whether SIGTERM came, or SIGINT or SIGQUIT during a replacement: no other process is started then.</summary>
    public bool StopAsked
    {
        get
        {
            lock (_lock) return _stop is not null;
        }
    }

    /// <summary>Whether one process is taking over from another: what asks to stop is meant for both, also when only one of them is there.</summary>
    public bool Replacing
    {
        set
        {
            lock (_lock) _replacing = value;
        }
    }

    /// <summary>
    /// From now on signals go to this process as well; one that is alone gets those that came while there was none, and one that is started after a request to stop is told of it.
    /// </summary>
    public void Add(Child child)
    {
        lock (_lock)
        {
            _children.Add(child);
            if (_waiting.Count == 0 && _stop is { } stop) child.Signal(stop);
            foreach (var signal in _waiting) child.Signal(signal);
            _waiting.Clear();
        }
    }

    public void Dispose()
    {
        foreach (var registration in _registrations) registration.Dispose();
    }

    private void Register(int signal, Action handler) =>
        _registrations.Add(PosixSignalRegistration.Create((PosixSignal)signal, context =>
        {
            context.Cancel = true;
            handler();
        }));

    // Also what came from the terminal: a process that is being started does not have it.
    private void ForwardStop(int signal)
    {
        lock (_lock)
            if (_replacing)
                _stop ??= signal;
        ForwardUnlessFromTerminal(signal);
    }

    private void ForwardUnlessFromTerminal(int signal)
    {
        if (!InForeground()) Forward(signal);
    }

    private void Forward(int signal)
    {
        lock (_lock)
        {
            if (signal == Signals.Term) _stop = signal;
            _children.RemoveAll(c => c.Exited.IsCompleted);
            if (_children.Count == 0) _waiting.Add(signal);
            foreach (var child in _children) child.Signal(signal);
        }
    }

    /// <summary>Whether there is a terminal and it sends its signals to the group of this process.</summary>
    private static bool InForeground()
    {
        var terminal = Open("/dev/tty", 0);
        if (terminal < 0) return false;
        var foreground = ForegroundGroup(terminal);
        _ = Close(terminal);
        return foreground >= 0 && foreground == OwnGroup();
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "tcgetpgrp")]
    private static partial int ForegroundGroup(int terminal);

    [LibraryImport("libc", EntryPoint = "getpgrp")]
    private static partial int OwnGroup();
}
