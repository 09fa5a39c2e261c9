namespace Lockstep.Audit;

/// <summary>Lines to standard output, or another stream. It keeps nothing, so it begins with the entries of this start.</summary>
internal sealed class AuditStreamSink(Stream stream, string name) : IAuditSink
{
    private bool _torn;

    public string Name => name;

    /// <summary>Standard output, past the console's own writer, which takes a closed pipe for a success.</summary>
    public static AuditStreamSink Stdout() => new(
        new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(1, ownsHandle: false), FileAccess.Write, bufferSize: 0), "standard output");

    public AuditTail Open(string node, AuditTail record) => record;

    public void Write(ReadOnlyMemory<byte> lines, long first, AuditTail last)
    {
        // The lock that the console's writer takes for each of its lines, so that logs do not get into an entry.
        lock (Console.Out)
        {
            // Part of a line may be out: what follows begins a line of its own.
            if (_torn) stream.Write("\n"u8);
            _torn = true;
            stream.Write(lines.Span);
            stream.Flush();
            _torn = false;
        }
    }

    public void Dispose() => stream.Dispose();
}
