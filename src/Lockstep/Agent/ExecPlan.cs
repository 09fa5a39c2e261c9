using System.Text;

namespace Lockstep.Agent;

/// <summary>What the shim is to become: sent to it through a pipe, so that no value is in an argument, a file, or the shim's own environment.</summary>
internal sealed record ExecPlan
{
    public required string Path { get; init; }

    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>The command's whole environment, but for the shim's own LISTEN_… variables.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    /// <summary>Descriptors that are to be 3 and up, and their names.</summary>
    public IReadOnlyList<(int Descriptor, string Name)> Sockets { get; init; } = [];

    /// <summary>Where the files go; null: nowhere.</summary>
    public string? Mount { get; init; }

    public IReadOnlyDictionary<string, string> Files { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    public void Write(Stream stream)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(Path);
        writer.Write(Arguments.Count);
        foreach (var argument in Arguments) writer.Write(argument);
        Write(writer, Environment);
        writer.Write(Sockets.Count);
        foreach (var (descriptor, name) in Sockets)
        {
            writer.Write(descriptor);
            writer.Write(name);
        }
        writer.Write(Mount ?? "");
        Write(writer, Files);
    }

    public static ExecPlan Read(Stream stream)
    {
        using var reader = new BinaryReader(stream, Encoding.UTF8, leaveOpen: true);
        return new()
        {
            Path = reader.ReadString(),
            Arguments = [.. Enumerable.Range(0, reader.ReadInt32()).Select(_ => reader.ReadString())],
            Environment = ReadMap(reader),
            Sockets = [.. Enumerable.Range(0, reader.ReadInt32()).Select(_ => (reader.ReadInt32(), reader.ReadString()))],
            Mount = reader.ReadString() is { Length: > 0 } mount ? mount : null,
            Files = ReadMap(reader),
        };
    }

    public override string ToString() => Path;

    private static void Write(BinaryWriter writer, IReadOnlyDictionary<string, string> map)
    {
        writer.Write(map.Count);
        foreach (var (name, value) in map)
        {
            writer.Write(name);
            writer.Write(value);
        }
    }

    private static Dictionary<string, string> ReadMap(BinaryReader reader)
    {
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        for (var left = reader.ReadInt32(); left > 0; left--) map.Add(reader.ReadString(), reader.ReadString());
        return map;
    }
}
