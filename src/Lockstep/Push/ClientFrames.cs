using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Push;

/// <summary>Strict reading of what a client sends.</summary>
internal static class ClientFrames
{
    private const int MaxReason = 512;
    private const int MaxName = 128;

    /// <exception cref="LockstepException">bad-request, with what is wrong.</exception>
    public static ClientFrame Read(ReadOnlySpan<byte> text)
    {
        ClientFrame? frame;
        try
        {
            frame = JsonSerializer.Deserialize(text, WatchJson.Default.ClientFrame);
        }
        catch (JsonException e)
        {
            // Its own message may quote the frame, which may hold a token.
            throw Bad($"the frame is not valid: one JSON object with known fields is expected (byte {e.BytePositionInLine})");
        }
        if (frame is null) throw Bad("the frame is not a JSON object");
        var given = Given(frame);
        var (required, optional) = FieldsOf(frame.Op);
        foreach (var name in required)
            if (!given.Contains(name)) throw Bad($"the frame '{frame.Op}' needs the field '{name}'");
        foreach (var name in given)
            if (!required.Contains(name) && !optional.Contains(name)) throw Bad($"the frame '{frame.Op}' has no field '{name}'");
        if (frame.Id < 0) throw Bad("'id' is a number from 0");
        if (frame.Release < 1) throw Bad("'release' is a number from 1");
        if (frame.Reason?.Length > MaxReason) throw Bad($"'reason' is longer than {MaxReason} characters");
        if (frame.Instance is { } instance && (instance.Length is 0 or > MaxName || instance.Any(c => c is <= ' ' or >= (char)127)))
            throw Bad($"'instance' must be 1 to {MaxName} printable ASCII characters without spaces");
        if (frame.Client?.Length > MaxName) throw Bad($"'client' is longer than {MaxName} characters");
        return frame;
    }

    private static (string[] Required, string[] Optional) FieldsOf(string op) => op switch
    {
        "hello" => ([], ["instance", "client", "token"]),
        "subscribe" => (["id", "service", "environment"], ["label", "etag", "release"]),
        "unsubscribe" => (["id"], []),
        "applied" => (["id", "release", "etag"], []),
        "failed" => (["id", "release", "etag"], ["reason"]),
        _ => throw Bad("unknown op; there are hello, subscribe, unsubscribe, applied, failed"),
    };

    private static List<string> Given(ClientFrame frame)
    {
        var names = new List<string>();
        Add(frame.Instance, "instance");
        Add(frame.Client, "client");
        Add(frame.Token, "token");
        Add(frame.Id, "id");
        Add(frame.Service, "service");
        Add(frame.Environment, "environment");
        Add(frame.Label, "label");
        Add(frame.Etag, "etag");
        Add(frame.Release, "release");
        Add(frame.Reason, "reason");
        return names;

        void Add(object? value, string name)
        {
            if (value is not null) names.Add(name);
        }
    }

    private static LockstepException Bad(string detail) => new(ErrorCode.BadRequest, detail);
}
