using System.Buffers;
using System.IO.Pipes;
using System.Runtime.InteropServices;

namespace Lockstep.Agent;

/// <summary>Carries one stream of a child's output to the same stream of this process, masked, on a thread of its own.</summary>
internal sealed partial class OutputPump
{
    // What is held is shown after a short pause when it is too short to tell anything, after a long one when it may be most of a value.
    private const int ShortPause = 100, LongPause = 2000;
    private const short Readable = 1, Writable = 4;

    // errno; EAGAIN differs between Linux and the BSDs.
    private const int Interrupted = 4;
    private static readonly int s_again = OperatingSystem.IsLinux() ? 11 : 35;
    private const int ChunkSize = 64 * 1024;

    private readonly Lock _lock = new();
    private readonly AnonymousPipeClientStream _from;
    private readonly int _to;
    private readonly MaskedValues _values;
    private readonly MaskedStream _masked;
    private readonly ArrayBufferWriter<byte> _out = new(ChunkSize);
    private readonly byte[] _chunk = new byte[ChunkSize];
    private volatile bool _ended;

    private OutputPump(AnonymousPipeClientStream from, int to, MaskedValues values)
    {
        (_from, _to, _values) = (from, to, values);
        _masked = new(bytes => _out.Write(bytes));
    }

    public static OutputPump Start(Stream from, int to, MaskedValues values)
    {
        var pump = new OutputPump((AnonymousPipeClientStream)from, to, values);
        new Thread(pump.Run) { IsBackground = true, Name = "output" }.Start();
        return pump;
    }

    /// <summary>The child has ended: what it wrote goes out. A process that it left behind may hold the pipe; it is not waited for.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            while (!_ended && Wait(0)) Read();
            End();
        }
    }

    // This thread alone closes the pipe: the other one would wait for it, which waits for a process that was left behind.
    private void Run()
    {
        var held = 0;
        while (!_ended)
        {
            var more = Wait(held switch { 0 => -1, < MaskForms.MinLength => ShortPause, _ => LongPause });
            lock (_lock)
            {
                if (_ended) break;
                if (!more) Flush();
                // Asked again: the other thread may have read it in between.
                else if (Wait(0)) Read();
                held = _masked.Held;
            }
        }
        _from.Dispose();
    }

    private void Read()
    {
        var count = _from.Read(_chunk);
        if (count == 0)
        {
            End();
            return;
        }
        _masked.Write(_chunk.AsSpan(0, count), _values.Mask);
        Send();
    }

    private void Flush()
    {
        _masked.Flush();
        Send();
    }

    private void Send()
    {
        for (var rest = _out.WrittenSpan; !rest.IsEmpty && !_ended;)
        {
            var count = Write(_to, rest, (nuint)rest.Length);
            if (count >= 0) rest = rest[(int)count..];
            else if (Marshal.GetLastPInvokeError() == s_again) _ = Wait(_to, Writable, -1);
            else if (Marshal.GetLastPInvokeError() != Interrupted)
            {
                // Nobody reads any more. The child learns it as it would without this program in between: its pipe is closed.
                _ended = true;
            }
        }
        _out.ResetWrittenCount();
    }

    private void End()
    {
        if (_ended) return;
        Flush();
        _ended = true;
    }

    /// <summary>Waits for something to read, or the end; false when the time (in milliseconds; negative: no limit) is over.</summary>
    private bool Wait(int milliseconds) => Wait((int)_from.SafePipeHandle.DangerousGetHandle(), Readable, milliseconds);

    /// <summary>An interrupted wait counts as one that is over, and is begun again.</summary>
    private static bool Wait(int descriptor, short events, int milliseconds)
    {
        var request = new PollRequest { Descriptor = descriptor, Events = events };
        return Poll(ref request, 1, milliseconds) > 0;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollRequest
    {
        public int Descriptor;
        public short Events;
        public short Happened;
    }

    [LibraryImport("libc", EntryPoint = "poll")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Poll(ref PollRequest requests, nuint count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint Write(int descriptor, ReadOnlySpan<byte> bytes, nuint count);
}
