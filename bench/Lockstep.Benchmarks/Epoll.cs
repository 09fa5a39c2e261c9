using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Lockstep.Benchmarks;

/// <summary>Linux's epoll for plain sockets: one thread hears from thousands at a cost per message that is far below that of any server's. Level-triggered.</summary>
internal sealed class Epoll : IDisposable
{
    private const int Add = 1, Readable = 1, Batch = 512;

    // struct epoll_event {u32 events; u64 data}: packed on x64 only.
    private static readonly int s_data = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 4 : 8;
    private static readonly int s_stride = s_data + 8;

    private readonly byte[] _events = new byte[Batch * s_stride];
    private readonly int _handle;

    public Epoll()
    {
        if (!OperatingSystem.IsLinux()) throw new InvalidOperationException("the watchers need Linux (epoll)");
        _handle = Checked(Create(0));
    }

    /// <summary>From now on <see cref="Wait"/> tells of it, until it is closed.</summary>
    public void Watch(Socket socket, int id)
    {
        Span<byte> interest = stackalloc byte[16];
        MemoryMarshal.Write(interest, Readable);
        MemoryMarshal.Write(interest[s_data..], (long)id);
        Checked(Control(_handle, Add, (int)socket.Handle, ref MemoryMarshal.GetReference(interest)));
    }

    /// <summary>Waits for news and returns of how many sockets; an interrupted wait is one without news.</summary>
    public int Wait(int milliseconds)
    {
        const int Interrupted = 4;
        var count = WaitFor(_handle, ref _events[0], Batch, milliseconds);
        return count < 0 && Marshal.GetLastPInvokeError() == Interrupted ? 0 : Checked(count);
    }

    /// <summary>The id of the n-th socket that <see cref="Wait"/> told of.</summary>
    public int this[int n] => (int)MemoryMarshal.Read<long>(_events.AsSpan((n * s_stride) + s_data));

    public void Dispose() => _ = Close(_handle);

    private static int Checked(int result) => result >= 0 ? result : throw new System.ComponentModel.Win32Exception(Marshal.GetLastPInvokeError());

    [DllImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Create(int flags);

    [DllImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Control(int epoll, int operation, int socket, ref byte interest);

    [DllImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int WaitFor(int epoll, ref byte events, int count, int milliseconds);

    [DllImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Close(int handle);
}
