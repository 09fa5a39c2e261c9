using System.Runtime.InteropServices;

namespace Lockstep.Agent;

/// <summary>
/// Takes the signals that are meant for the child and passes them on. What a terminal sends (Ctrl-C, Ctrl-\, Ctrl-Z, a new size) goes to the
/// whole foreground group, so that the child has it already: those are not passed on while this process is in the foreground.
/// </summary>
internal sealed partial class SignalForwarder : IDisposable
{
    private const int Hup = 1, Int = 2, Quit = 3, Term = 15, Winch = 28;

    private readonly Lock _lock = new();
    private readonly List<int> _waiting = [];
    private readonly List<PosixSignalRegistration> _registrations = [];
    private int _child;
    private bool _stopped;

    public SignalForwarder()
    {
        if (OperatingSystem.IsWindows()) return;
        // Numbers that differ between Linux and the BSDs.
        var (usr1, usr2, cont, tstp) = OperatingSystem.IsLinux() ? (10, 12, 18, 20) : (30, 31, 19, 18);
        foreach (var signal in new[] { Hup, Term, usr1, usr2, cont }) Register(signal, () => Forward(signal));
        foreach (var signal in new[] { Int, Quit, Winch }) Register(signal, () => ForwardUnlessFromTerminal(signal));
        Register(tstp, () =>
        {
            ForwardUnlessFromTerminal(tstp);
            // This process sleeps as long as its child, as whoever waits for it expects. SIGSTOP: 19 on Linux, 17 elsewhere.
            _ = Kill(Environment.ProcessId, OperatingSystem.IsLinux() ? 19 : 17);
        });
    }

    /// <summary>From now on signals go to this process; those that waited first.</summary>
    public void To(int child)
    {
        lock (_lock)
        {
            _child = child;
            foreach (var signal in _waiting) _ = Kill(child, signal);
            _waiting.Clear();
        }
    }

    /// <summary>The child has ended: its number may belong to another process soon.</summary>
    public void Stop()
    {
        lock (_lock) _stopped = true;
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

    private void ForwardUnlessFromTerminal(int signal)
    {
        if (!InForeground()) Forward(signal);
    }

    private void Forward(int signal)
    {
        lock (_lock)
        {
            if (_stopped) return;
            if (_child == 0) _waiting.Add(signal);
            else _ = Kill(_child, signal);
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

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "tcgetpgrp")]
    private static partial int ForegroundGroup(int terminal);

    [LibraryImport("libc", EntryPoint = "getpgrp")]
    private static partial int OwnGroup();
}
