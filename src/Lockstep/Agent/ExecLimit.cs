using System.Runtime.InteropServices;
using System.Text;

namespace Lockstep.Agent;

/// <summary>How much Linux takes as arguments and environment of a program (execve(2), "Limits on size"): a quarter of the stack's limit, between 128 KiB and 6 MiB.</summary>
internal static partial class ExecLimit
{
    private const int StackLimit = 3;
    private const ulong Least = 128 * 1024, Most = 6 * 1024 * 1024;

    /// <summary>For the variables of socket activation, the name of an interpreter, and the kernel's own part.</summary>
    private const ulong Margin = 8 * 1024;

    public static bool Exceeds(string path, IReadOnlyList<string> arguments, IDictionary<string, string?> environment)
    {
        // Elsewhere only the start itself tells.
        if (!OperatingSystem.IsLinux() || GetLimit(StackLimit, out var stack) != 0) return false;
        var limit = Math.Clamp(stack.Soft / 4, Least, Most);
        var size = Margin + 2 * Size(path);
        foreach (var argument in arguments) size += Size(argument);
        foreach (var (name, value) in environment) size += Size(name) + Size(value ?? "");
        return size > limit;
    }

    // Its bytes, the one at its end, and a pointer.
    private static ulong Size(string text) => (ulong)(Encoding.UTF8.GetByteCount(text) + 1 + nint.Size);

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int GetLimit(int resource, out Limit limit);

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public nuint Soft;
        public nuint Hard;
    }
}
