using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>Lines to standard output, or to whatever else takes bytes in their order. It keeps nothing, so it begins with the entries of this start.</summary>
internal sealed class AuditStreamSink(Action<ReadOnlyMemory<byte>> write, string name) : IAuditSink
{
    private bool _torn;

    public string Name => name;

    /// <summary>Standard output, past the console's own stream, which takes a closed pipe for a success.</summary>
    public static AuditStreamSink Stdout()
    {
        var console = OperatingSystem.IsWindows() ? Console.OpenStandardOutput() : Stream.Null;
        return new AuditStreamSink(lines =>
        {
#pragma warning disable CA2002 // The lock that the console's writer itself takes for each of its lines, so that logs do not get into an entry.
            lock (Console.Out)
#pragma warning restore CA2002
            {
                if (OperatingSystem.IsWindows()) console.Write(lines.Span);
                else Posix.WriteTo(1, lines.Span);
            }
        }, "standard output");
    }

    public AuditTail Open(string node, AuditTail record) => record;

    public void Write(ReadOnlyMemory<byte> lines, long first, AuditTail last)
    {
        // Part of a line may be out: what follows begins a line of its own.
        if (_torn) write("\n"u8.ToArray());
        _torn = true;
        write(lines);
        _torn = false;
    }

    public void Dispose()
    {
        // What it writes to is not its own.
    }
}
