using Lockstep.Client;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Lockstep.Cli;

/// <summary><c>lockstep.yaml</c>: what a project's directory says about its server. Three names, never a token.</summary>
internal sealed record ProjectFile(string Path, string? Address, string? Service, string? Environment)
{
    private const int MaxBytes = 64 * 1024;

    /// <summary>The nearest one in or above a directory.</summary>
    public static ProjectFile? Find(string directory)
    {
        for (var at = directory; at is not null; at = System.IO.Path.GetDirectoryName(at))
        {
            var path = System.IO.Path.Combine(at, "lockstep.yaml");
            if (File.Exists(path)) return Read(path);
        }
        return null;
    }

    private static ProjectFile Read(string path)
    {
        try
        {
            // Whoever can write it decides where tokens are sent.
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & UnixFileMode.OtherWrite) != UnixFileMode.None)
                throw Wrong(path, null, "anybody can write it, and it says where tokens are sent: chmod o-w it");
            return Parse(path, BoundedFile.ReadText(path, MaxBytes, "lockstep.yaml"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.BadRequest, $"{path} can't be read: {e.Message}", e);
        }
        catch (Exception e) when (e is YamlException or InvalidOperationException or ArgumentException)
        {
            // The scanner gives up with exceptions of other kinds too on some broken text.
            throw Wrong(path, (e as YamlException)?.Start.Line, "it is not YAML");
        }
    }

    private static ProjectFile Parse(string path, string text)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        var parser = new Parser(new StringReader(text));
        parser.Consume<StreamStart>();
        if (parser.Accept<StreamEnd>(out _)) return new(path, null, null, null);
        parser.Consume<DocumentStart>();
        if (!parser.TryConsume<MappingStart>(out _)) throw Wrong(path, 1, "write `name: value` lines");
        while (!parser.TryConsume<MappingEnd>(out _))
        {
            if (!parser.TryConsume<Scalar>(out var key) || !parser.TryConsume<Scalar>(out var value))
                throw Wrong(path, parser.Current?.Start.Line, "a name and a plain value are expected");
            if (key.Value is "token") throw Wrong(path, key.Start.Line, "a token must not be here: use LOCKSTEP_TOKEN or a file of its own");
            if (key.Value is not ("address" or "service" or "environment"))
                throw Wrong(path, key.Start.Line, $"'{Output.Printable(key.Value)}' is not known: address, service and environment are");
            if (value.Value.Length == 0) throw Wrong(path, key.Start.Line, $"{key.Value} is empty");
            if (!values.TryAdd(key.Value, value.Value)) throw Wrong(path, key.Start.Line, $"{key.Value} is there twice");
        }
        parser.Consume<DocumentEnd>();
        if (!parser.Accept<StreamEnd>(out _)) throw Wrong(path, parser.Current?.Start.Line, "one document is expected");
        return new(path, values.GetValueOrDefault("address"), values.GetValueOrDefault("service"), values.GetValueOrDefault("environment"));
    }

    private static LockstepException Wrong(string path, long? line, string what) =>
        new(ErrorCode.BadRequest, line is null ? $"{path}: {what}" : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{path}:{line}: {what}"));
}
