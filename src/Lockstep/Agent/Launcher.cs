using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>Starts the command: directly, or through the shim where sockets or a mount are to be arranged in the child itself.</summary>
internal sealed class Launcher(string path, RunRequest request, ListenSockets? sockets)
{
    // errno, the same on Linux and macOS.
    private const int NoEntry = 2;
    private const int TooBig = 7;

    /// <summary>What must not be seen in the output of what is started.</summary>
    public MaskedValues Masked { get; } = new();

    /// <summary>Starts a process.</summary>
    /// <exception cref="StartException">It can't be executed.</exception>
    /// <exception cref="LockstepException">Its environment is larger than the system takes.</exception>
    public Child Start(ChildInput input)
    {
        Check(input);
        var start = With(input);
        // What stays may be told of secrets later (signals, files), though there are none yet.
        if (request.Options.Mask && (!Masked.IsEmpty || request.Options.Watch.Kind != ReactionKind.None))
        {
            start.RedirectStandardOutput = Console.IsOutputRedirected;
            start.RedirectStandardError = Console.IsErrorRedirected;
        }
        try
        {
            return sockets is null && request.Options.Mount is null ? StartDirectly(start) : StartThroughShim(start, input);
        }
        catch (Win32Exception e) when (e.NativeErrorCode == TooBig)
        {
            throw TooLarge(input, e);
        }
        catch (Win32Exception e)
        {
            throw new StartException($"{start.FileName}: can't be executed: {e.Message}", e.NativeErrorCode == NoEntry ? Runner.NotFound : Runner.NotExecutable, e);
        }
    }

    /// <summary>Before anything is stopped for it.</summary>
    /// <exception cref="LockstepException">Arguments and environment are larger than the system takes.</exception>
    public void Check(ChildInput input)
    {
        if (ExecLimit.Exceeds(path, request.Command, With(input).Environment)) throw TooLarge(input, null);
    }

    private ProcessStartInfo With(ChildInput input)
    {
        var start = new ProcessStartInfo { UseShellExecute = false };
        if (!request.Options.KeepToken)
            foreach (var name in ChildEnvironment.Removed) start.Environment.Remove(name);
        foreach (var (name, value) in input.Variables) start.Environment[name] = value;
        return start;
    }

    private Child StartDirectly(ProcessStartInfo start)
    {
        start.FileName = FileNameFor(path, request.Command[0]);
        for (var i = 1; i < request.Command.Count; i++) start.ArgumentList.Add(request.Command[i]);
        return Running(Process.Start(start)!);
    }

    private Child StartThroughShim(ProcessStartInfo start, ChildInput input)
    {
        var plan = new ExecPlan
        {
            Path = path,
            Arguments = request.Command,
            Environment = start.Environment.Where(v => v.Value is not null).ToDictionary(v => v.Key, v => v.Value!, StringComparer.Ordinal),
            Sockets = sockets is null ? [] : [.. sockets.Descriptors.Zip(sockets.Addresses, (d, a) => (d, a.Port.ToString(CultureInfo.InvariantCulture)))],
            Mount = request.Options.Mount,
            Files = input.Files,
        };
        // The shim is a .NET program: the command's variables must not change how it starts.
        start.Environment.Clear();
        foreach (var (name, value) in new ProcessStartInfo().Environment) start.Environment[name] = value;
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out, HandleInheritability.Inheritable);
        using var done = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.Inheritable);
        var command = ShimCommand(pipe.GetClientHandleAsString(), done.GetClientHandleAsString());
        start.FileName = command[0];
        foreach (var argument in command.Skip(1)) start.ArgumentList.Add(argument);
        var process = Process.Start(start)!;
        pipe.DisposeLocalCopyOfClientHandle();
        done.DisposeLocalCopyOfClientHandle();
        try
        {
            plan.Write(pipe);
        }
        catch (IOException)
        {
            // It ended before it had read everything; its exit status says so.
        }
        // Closed when the command has taken the shim's place, or the shim has ended: signals and files are for the command, not for what comes before it.
        pipe.Dispose();
        _ = done.ReadByte();
        return Running(process);
    }

    /// <summary>
    /// A user namespace must be made before a process has threads, which a .NET program has from the start: the system's <c>unshare</c> does it for those who may
    /// not mount otherwise, and leaves them the rights in it until the shim gives them up.
    /// </summary>
    private List<string> ShimCommand(string plan, string done)
    {
        var command = new List<string>();
        if (request.Options.Mount is not null && !Environment.IsPrivilegedProcess) command.AddRange(["unshare", "--user", "--map-current-user", "--keep-caps", "--mount", "--"]);
        command.Add(Environment.ProcessPath!);
        // Where the program runs as `dotnet lockstep.dll`.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") command.Add(Environment.GetCommandLineArgs()[0]);
        command.AddRange([ExecShim.Verb, plan, done]);
        return command;
    }

    private Child Running(Process process)
    {
        var pumps = new List<OutputPump>();
        if (process.StartInfo.RedirectStandardOutput) pumps.Add(OutputPump.Start(process.StandardOutput.BaseStream, 1, Masked));
        if (process.StartInfo.RedirectStandardError) pumps.Add(OutputPump.Start(process.StandardError.BaseStream, 2, Masked));
        return new(process, [.. pumps]);
    }

    /// <summary>
    /// The name as it was typed becomes the child's argv[0]; but the runtime looks for it beside this program and in the working directory
    /// before it looks in PATH, so that where something lies there the path that was found stands in its place.
    /// </summary>
    private static string FileNameFor(string path, string typed) =>
        typed.Contains('/', StringComparison.Ordinal) || File.Exists(Path.Combine(AppContext.BaseDirectory, typed)) || File.Exists(typed) ? path : typed;

    private static LockstepException TooLarge(ChildInput input, Exception? inner)
    {
        var largest = input.Variables.OrderByDescending(v => v.Value.Length).Select(v => v.Key).FirstOrDefault();
        return new(ErrorCode.TooLarge, $"the arguments and the environment together are larger than this system takes{(largest is null ? "" : $"; the largest variable from the config is {largest}")}", inner);
    }
}
