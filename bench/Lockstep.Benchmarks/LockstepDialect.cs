using System.Text;
using System.Text.Json;

namespace Lockstep.Benchmarks;

/// <summary>What a watcher holds of a document.</summary>
internal sealed record HeldDocument(string Etag, long Release);

/// <summary>A watcher of one document: hello, welcome, subscribe, and its answer; then it only listens.</summary>
/// <param name="server">Where it connects.</param>
/// <param name="token">The token it shows.</param>
/// <param name="service">The service whose document for production it watches.</param>
/// <param name="holds">What it holds already: then it is ready when the server says that this is the newest, and anything else is an error. Null: it is ready with its snapshot.</param>
internal sealed class LockstepDialect(Uri server, string token, string service, HeldDocument? holds = null)
    : WebSocketDialect(server, "/v1/watch", "Sec-WebSocket-Protocol: lockstep.v1", $"Authorization: Bearer {token}")
{
    private readonly byte[] _subscribe = TextFrame(holds is null
        ? $$"""{"op":"subscribe","id":1,"service":"{{service}}","environment":"production"}"""
        : $$"""{"op":"subscribe","id":1,"service":"{{service}}","environment":"production","etag":{{JsonSerializer.Serialize(holds.Etag)}},"release":{{holds.Release}}}""");

    /// <summary>What the first watcher that was ready holds since.</summary>
    public HeldDocument? Held { get; private set; }

    protected override void Opened(Watcher watcher) => watcher.Send(TextFrame($$"""{"op":"hello","instance":"watcher-{{watcher.Id}}","client":"bench"}"""));

    protected override void Heard(Watcher watcher, ReadOnlySpan<byte> text)
    {
        if (watcher.Ready) return;   // changes, which are the crowd's to look at
        if (Is(text, "welcome"))
        {
            watcher.Send(_subscribe);
        }
        else if (Is(text, holds is null ? "snapshot" : "current"))
        {
            Held ??= HeldBy(text);
            watcher.Ready = true;
        }
        else
        {
            throw new WatcherLostException($"not the answer to a subscription: {Encoding.UTF8.GetString(text[..Math.Min(text.Length, 200)])}");
        }
    }

    /// <summary>The op is the first member of every frame.</summary>
    private static bool Is(ReadOnlySpan<byte> text, string op) => text.StartsWith("{\"op\":\""u8) && Ascii.Equals(text.Slice(7, Math.Min(op.Length, text.Length - 7)), op);

    private static HeldDocument HeldBy(ReadOnlySpan<byte> text)
    {
        using var json = JsonDocument.Parse(text.ToArray());
        return new(json.RootElement.GetProperty("etag").GetString()!, json.RootElement.GetProperty("release").GetInt64());
    }
}
