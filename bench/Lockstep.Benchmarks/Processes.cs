using System.Buffers.Binary;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Lockstep.Robustness;

namespace Lockstep.Benchmarks;

/// <summary>What other processes take, and a garbage collection in them.</summary>
internal static class Processes
{
    /// <summary>Lets <see cref="SettledMemoryAsync"/> reach a .NET process however it is built.</summary>
    public static IReadOnlyList<(string, string)> Collectable { get; } = [("DOTNET_EnableDiagnostics", "1")];

    /// <summary>A rate that no load reaches, but that is counted: what the check costs is in the figures.</summary>
    public const string Unlimited = "limits: { requestsPerSecond: 10000000 }";

    /// <summary>Processor time so far, user and kernel.</summary>
    public static TimeSpan Cpu(int id)
    {
        using var process = Process.GetProcessById(id);
        return process.TotalProcessorTime;
    }

    /// <summary>Waits until a server has noticed that its watchers are gone.</summary>
    public static Task LeftAsync(int id) =>
        Tool.UntilAsync(() => Task.FromResult(Directory.EnumerateFileSystemEntries($"/proc/{id}/fd").Take(500).Count() < 500), TimeSpan.FromSeconds(30), "the watchers have left");

    /// <summary>Resident memory of a .NET process in bytes once it has settled: full collections until two readings are within 1 %, for at most half a minute.
    /// The pools of Kestrel give back what they do not need every ten seconds.</summary>
    public static async Task<long> SettledMemoryAsync(int id)
    {
        var (before, start) = (0L, Stopwatch.GetTimestamp());
        while (true)
        {
            await CollectAsync(id);
            await Task.Delay(TimeSpan.FromSeconds(5), TimeProvider.System);
            var now = Resident(id);
            var waited = Stopwatch.GetElapsedTime(start);
            if (waited > TimeSpan.FromSeconds(30) || (waited > TimeSpan.FromSeconds(14) && Math.Abs(now - before) < now / 100)) return now;
            before = now;
        }
    }

    private static long Resident(int id)
    {
        var line = File.ReadLines($"/proc/{id}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return long.Parse(line[6..^2]) * 1024;
    }

    /// <summary>Asks the runtime for a full collection: an event session of the provider Microsoft-Windows-DotNETRuntime with the keyword GCHeapCollect, over the runtime's diagnostic socket
    /// (dotnet/diagnostics, documentation/design-docs/ipc-protocol.md). The session is over when the connection is closed.</summary>
    private static async Task CollectAsync(int id)
    {
        const ulong GcHeapCollect = 0x800000;
        // An earlier process of the same id may have left one behind.
        var path = Directory.EnumerateFiles(Path.GetTempPath(), $"dotnet-diagnostic-{id}-*-socket").MaxBy(File.GetLastWriteTimeUtc)
            ?? throw new InvalidOperationException($"process {id} has no diagnostic socket");
        byte[] provider = [.. U32(1), .. U32((uint)GcHeapCollect), .. U32(0), .. U32(4), .. Utf16("Microsoft-Windows-DotNETRuntime"), .. Utf16("")];
        byte[] payload = [.. U32(16), .. U32(1), .. provider];   // 16 MB of buffer, format nettrace
        byte[] head = [.. "DOTNET_IPC_V1\0"u8, .. U16((ushort)(20 + payload.Length)), 2, 2, 0, 0];   // EventPipe, CollectTracing
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
        await socket.SendAsync((byte[])[.. head, .. payload]);
        var answer = new byte[1024];
        if (await socket.ReceiveAsync(answer) < 20 || answer[16] != 0xff || answer[17] != 0) throw new InvalidOperationException($"process {id} does not collect: {Convert.ToHexString(answer[..32])}");
    }

    private static byte[] U16(ushort value)
    {
        var bytes = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] U32(uint value)
    {
        var bytes = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    private static byte[] Utf16(string text) => [.. U32((uint)text.Length + 1), .. Encoding.Unicode.GetBytes(text), 0, 0];
}
