using System.Runtime.InteropServices;

namespace Lockstep.Agent;

/// <summary>Signals by name, and how one is sent.</summary>
internal static partial class Signals
{
    public const int Hup = 1, Int = 2, Quit = 3, Kill = 9, Pipe = 13, Term = 15, Winch = 28;

    // Numbers that differ between Linux and the BSDs.
    public static readonly int Usr1 = OperatingSystem.IsLinux() ? 10 : 30, Usr2 = OperatingSystem.IsLinux() ? 12 : 31,
        Cont = OperatingSystem.IsLinux() ? 18 : 19, Stop = OperatingSystem.IsLinux() ? 19 : 17, TerminalStop = OperatingSystem.IsLinux() ? 20 : 18;

    // Below the numbers, which are set in this order.
    private static readonly (string Name, int Number)[] s_named =
        [("HUP", Hup), ("INT", Int), ("QUIT", Quit), ("USR1", Usr1), ("USR2", Usr2), ("TERM", Term), ("WINCH", Winch), ("CONT", Cont)];

    /// <summary>Those that may be named on the command line.</summary>
    public static IEnumerable<string> Names => s_named.Select(s => s.Name);

    /// <summary>The number of <c>HUP</c> or <c>SIGHUP</c>; null: no such name.</summary>
    public static int? Number(string name)
    {
        foreach (var (known, number) in s_named)
            if (name == known || name == "SIG" + known) return number;
        return null;
    }

    public static void Send(int process, int signal) => _ = SendNative(process, signal);

    /// <summary>
    /// The runtime ignores SIGPIPE, and what is ignored stays so in a child, which would then be told of a closed pipe by an error only. What is handled does not. The
    /// handler is the C library's <c>abs</c>: it takes an int, does nothing with it, and is allowed in a handler, as managed code is not.
    /// </summary>
    public static void HandlePipe() => _ = SetHandler(Pipe, NativeLibrary.GetExport(NativeLibrary.Load("libc", typeof(Signals).Assembly, DllImportSearchPath.SafeDirectories), "abs"));

    /// <summary>What the system does by itself, before another program takes this one's place.</summary>
    public static void ResetPipe() => _ = SetHandler(Pipe, 0);

    [LibraryImport("libc", EntryPoint = "signal")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint SetHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SendNative(int process, int signal);
}
