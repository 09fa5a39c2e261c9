using System.Globalization;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace Lockstep.Agent;

/// <summary>
/// This program as the first thing in a child's process (<c>--listen</c>, <c>--mount</c>): moves the sockets to 3 and up, mounts a private tmpfs, and
/// becomes the command. The process keeps its id, so that LISTEN_PID can be told (sd_listen_fds(3)).
/// </summary>
internal static unsafe partial class ExecShim
{
    /// <summary>The first argument that makes this program the shim; the second and third are the descriptors of the plan and of what closes when the command is there.</summary>
    public const string Verb = "exec-child";

    // FIOCLEX: takes no argument, unlike fcntl, whose variable ones are passed differently on some systems.
    private static readonly nuint s_closeOnExec = OperatingSystem.IsLinux() ? 0x5451u : 0x20006601u;

    private const int FirstSocket = 3;
    private const int NoEntry = 2, NotPermitted = 1;
    private const int NewNamespace = 0x20000;
    private const nuint NoSuid = 2, NoDevices = 4, NoExecute = 8, Recursive = 0x4000, Private = 0x40000;
    private const int AmbientCapabilities = 47, ClearAll = 4;

    /// <summary>Does not return but with an exit status, when the command could not be executed.</summary>
    public static int Run(string descriptor, string done)
    {
        _ = Control(int.Parse(done, NumberStyles.None, CultureInfo.InvariantCulture), s_closeOnExec);
        ExecPlan plan;
        using (var pipe = new AnonymousPipeClientStream(PipeDirection.In, descriptor)) plan = ExecPlan.Read(pipe);
        try
        {
            if (plan.Mount is not null && !OperatingSystem.IsWindows()) Mount(plan.Mount, plan.Files);
        }
        catch (IOException e)
        {
            return Fail($"--mount {plan.Mount}: {e.Message}", 1);
        }
        var environment = new Dictionary<string, string>(plan.Environment, StringComparer.Ordinal);
        if (plan.Sockets.Count > 0)
        {
            Place(plan.Sockets);
            environment["LISTEN_PID"] = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
            environment["LISTEN_FDS"] = plan.Sockets.Count.ToString(CultureInfo.InvariantCulture);
            environment["LISTEN_FDNAMES"] = string.Join(':', plan.Sockets.Select(s => s.Name));
        }
        // The runtime ignores SIGPIPE, and what is ignored stays so in the program after; handlers do not.
        Signals.ResetPipe();
        _ = Execute(plan.Path, Strings(plan.Arguments), Strings([.. environment.Select(v => $"{v.Key}={v.Value}")]));
        var error = Marshal.GetLastPInvokeError();
        return Fail($"{plan.Arguments[0]}: can't be executed: {Marshal.GetPInvokeErrorMessage(error)}", error == NoEntry ? Runner.NotFound : Runner.NotExecutable);
    }

    /// <summary>Every socket to its place. First each to a number above all places: one's place may be where another one still is.</summary>
    private static void Place(IReadOnlyList<(int Descriptor, string Name)> sockets)
    {
        var end = FirstSocket + sockets.Count;
        var high = sockets.Select(s => DuplicateAbove(s.Descriptor, end)).ToArray();
        for (var i = 0; i < high.Length; i++) _ = DuplicateTo(high[i], FirstSocket + i);
        foreach (var (descriptor, _) in sockets)
            if (descriptor >= end)
                _ = Close(descriptor);
        foreach (var descriptor in high) _ = Close(descriptor);
    }

    private static int DuplicateAbove(int descriptor, int end)
    {
        var low = new List<int>();
        int copy;
        while ((copy = Duplicate(descriptor)) >= 0 && copy < end) low.Add(copy);
        foreach (var one in low) _ = Close(one);
        return copy;
    }

    /// <summary>A tmpfs that this process and its children alone see. Whoever is not root was given a user namespace of their own (<see cref="Launcher"/>).</summary>
    [UnsupportedOSPlatform("windows")]
    private static void Mount(string directory, IReadOnlyDictionary<string, string> files)
    {
        if (Environment.IsPrivilegedProcess && Unshare(NewNamespace) != 0) throw Failed("a mount namespace can't be made");
        if (MountFileSystem("none", "/", null, Recursive | Private, null) != 0) throw Failed("the mount namespace can't be made private");
        const string Options = "mode=0700,size=64m";
        // Memory that is never written to a swap device: Linux 6.4 and root only.
        if (MountFileSystem("lockstep", directory, "tmpfs", NoSuid | NoDevices | NoExecute, Options + ",noswap") != 0
            && MountFileSystem("lockstep", directory, "tmpfs", NoSuid | NoDevices | NoExecute, Options) != 0)
            throw Failed("a tmpfs can't be mounted");
        SecretMount.Write(directory, files);
        if (!Environment.IsPrivilegedProcess) _ = ProcessControl(AmbientCapabilities, ClearAll, 0, 0, 0);
    }

    private static IOException Failed(string what)
    {
        var error = Marshal.GetLastPInvokeError();
        return new($"{what}: {Marshal.GetPInvokeErrorMessage(error)}{(error == NotPermitted ? "; it needs the capability CAP_SYS_ADMIN, or for others than root user namespaces" : "")}");
    }

    private static int Fail(string message, int status)
    {
        Console.Error.WriteLine("lockstep: " + message);
        return status;
    }

    private static byte** Strings(IReadOnlyList<string> texts)
    {
        var strings = (byte**)NativeMemory.Alloc((nuint)(texts.Count + 1), (nuint)sizeof(byte*));
        for (var i = 0; i < texts.Count; i++) strings[i] = (byte*)Marshal.StringToCoTaskMemUTF8(texts[i]);
        strings[texts.Count] = null;
        return strings;
    }

    [LibraryImport("libc", EntryPoint = "execve", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Execute(string path, byte** arguments, byte** environment);

    [LibraryImport("libc", EntryPoint = "ioctl")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Control(int descriptor, nuint request);

    [LibraryImport("libc", EntryPoint = "dup")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Duplicate(int descriptor);

    [LibraryImport("libc", EntryPoint = "dup2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int DuplicateTo(int descriptor, int place);

    [LibraryImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "unshare", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Unshare(int flags);

    [LibraryImport("libc", EntryPoint = "mount", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int MountFileSystem(string source, string target, string? type, nuint flags, string? options);

    [LibraryImport("libc", EntryPoint = "prctl")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int ProcessControl(int option, nuint two, nuint three, nuint four, nuint five);
}
