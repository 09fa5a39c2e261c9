using System.Buffers;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Gate;
using Lockstep.Releases;

namespace Lockstep.Push;

/// <summary>
/// A frame on its way out: a head of its own, and the document's or the delta's bytes, shared by all who are sent them. Together they are one JSON object.
/// </summary>
/// <param name="Op">What it is; the <c>event:</c> of SSE.</param>
/// <param name="Release">The release it brings, the <c>id:</c> of SSE; null when it brings none.</param>
/// <param name="Head">UTF-8 JSON of this frame alone.</param>
/// <param name="Body">The shared rest; empty when the head is all.</param>
internal readonly record struct ServerFrame(string Op, long? Release, ReadOnlyMemory<byte> Head, ReadOnlyMemory<byte> Body)
{
    public static ServerFrame Welcome(string epoch, TimeSpan ping) => Whole("welcome", json =>
    {
        json.WriteString("epoch", epoch);
        json.WriteNumber("pingMs", (long)ping.TotalMilliseconds);
        json.WriteNumber("maxFrame", WatchLimits.MaxFrame);
        json.WriteNumber("maxSubscriptions", WatchLimits.MaxSubscriptions);
    });

    public static ServerFrame Snapshot(int id, SnapshotHead head, RenderedDocument document) => new("snapshot", head.Release, Begin("snapshot", json =>
    {
        json.WriteNumber("id", id);
        json.WriteString("etag", document.ETag);
        head.WriteTo(json);
    }), document.Body);

    public static ServerFrame Current(int id, SnapshotHead head, string etag) => Whole("current", json =>
    {
        json.WriteNumber("id", id);
        json.WriteNumber("release", head.Release);
        json.WriteString("etag", etag);
    }) with { Release = head.Release };

    public static ServerFrame Change(int id, long from, SnapshotHead head, DocumentDelta delta) => new("change", head.Release, Begin("change", json =>
    {
        json.WriteNumber("id", id);
        json.WriteNumber("from", from);
        json.WriteNumber("release", head.Release);
        json.WriteString("commit", head.Commit);
        if (head.Pinned is { } pinned) json.WriteNumber("pinned", pinned);
    }), delta.Body);

    /// <summary>Null: up to date again.</summary>
    public static ServerFrame Stale(int id, Staleness? stale) => Whole("stale", json =>
    {
        json.WriteNumber("id", id);
        if (stale is null) json.WriteNull("since");
        else json.WriteString("since", TimeConverter.ToWire(stale.Since));
        json.WriteString("reason", stale?.Reason);
    });

    /// <param name="id">The subscription; null when it is about the frame itself.</param>
    /// <param name="error">What is wrong.</param>
    public static ServerFrame Error(int? id, LockstepException error) => Whole("error", json =>
    {
        if (id is { } number) json.WriteNumber("id", number);
        else json.WriteNull("id");
        json.WriteString("code", error.Code.Name);
        json.WriteString("detail", error.Message);
    });

    public static ServerFrame Goodbye(string reason, TimeSpan retryAfter) => Whole("goodbye", json =>
    {
        json.WriteString("reason", reason);
        json.WriteNumber("retryAfterMs", (long)retryAfter.TotalMilliseconds);
    });

    private static ServerFrame Whole(string op, Action<Utf8JsonWriter> write)
    {
        var buffer = new ArrayBufferWriter<byte>(128);
        using var json = new Utf8JsonWriter(buffer, DocumentRenderer.WriterOptions);
        json.WriteStartObject();
        json.WriteString("op", op);
        write(json);
        json.WriteEndObject();
        json.Flush();
        return new ServerFrame(op, null, buffer.WrittenMemory, default);
    }

    // Open at the end, for a body that has lost its opening brace.
    private static ReadOnlyMemory<byte> Begin(string op, Action<Utf8JsonWriter> write)
    {
        var whole = Whole(op, write).Head.ToArray();
        whole[^1] = (byte)',';
        return whole;
    }
}
