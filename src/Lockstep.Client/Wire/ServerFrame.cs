using System.Text.Json;

namespace Lockstep.Client;

/// <summary>
/// What a server sends over a watch connection. <see cref="Op"/> says which of the others belong to it. Read by hand, as <see cref="SnapshotConverter"/> does and for its reason.
/// </summary>
internal sealed class ServerFrame
{
    private static readonly HashSet<string> s_ops = new(["welcome", "snapshot", "current", "change", "stale", "error", "goodbye"], StringComparer.Ordinal);

    public required string Op { get; init; }

    public int? Id { get; private set; }

    public string? Epoch { get; private set; }

    public string? ETag { get; private set; }

    public long? Release { get; private set; }

    public long? From { get; private set; }

    public string? Commit { get; private set; }

    public long? Pinned { get; private set; }

    public StaleInfo? Stale { get; private set; }

    public string? Service { get; private set; }

    public string? Environment { get; private set; }

    public string? Label { get; private set; }

    public Dictionary<string, JsonElement>? Values { get; private set; }

    public Dictionary<string, JsonElement>? Set { get; private set; }

    public List<string>? Unset { get; private set; }

    public List<string>? Secrets { get; private set; }

    public List<string>? Withheld { get; private set; }

    public DateTimeOffset? Since { get; private set; }

    public string? Reason { get; private set; }

    public string? Code { get; private set; }

    public string? Detail { get; private set; }

    public long? RetryAfterMs { get; private set; }

    /// <summary>The frame; null when its op is one that this version does not know. Members it does not know are skipped.</summary>
    /// <exception cref="JsonException">It is not one JSON object, or a member has another type. The text of the exception holds no value.</exception>
    public static ServerFrame? Read(ReadOnlySpan<byte> utf8)
    {
        try
        {
            return ReadFrame(utf8);
        }
        catch (InvalidOperationException e)
        {
            // Half a surrogate pair in an escape is told so.
            throw new JsonException("A frame holds a text that is not Unicode.", e);
        }
    }

    private static ServerFrame? ReadFrame(ReadOnlySpan<byte> utf8)
    {
        var reader = new Utf8JsonReader(utf8);
        if (OpOf(reader) is not { } op || !s_ops.Contains(op)) return null;
        var frame = new ServerFrame { Op = op };
        var seen = new HashSet<string>(StringComparer.Ordinal);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            if (!seen.Add(name)) throw new JsonException("A frame has a property twice.");
            reader.Read();
            frame.ReadMember(name, ref reader);
        }
        if (reader.Read()) throw new JsonException("A frame is one object.");
        return frame;
    }

    /// <summary>The document of a <c>snapshot</c>.</summary>
    public Snapshot ToSnapshot() => new()
    {
        Release = Release ?? throw Missing("release"),
        Commit = Commit,
        Stale = Stale,
        Pinned = Pinned,
        Service = Service ?? throw Missing("service"),
        Environment = Environment ?? throw Missing("environment"),
        Label = Label ?? throw Missing("label"),
        Values = Values ?? throw Missing("values"),
        Secrets = Secrets ?? [],
        Withheld = Withheld ?? [],
        ETag = ETag ?? throw Missing("etag"),
    };

    public JsonException Missing(string name) => new($"The {Op} has no '{name}'.");

    /// <summary>The op only: a frame may hold secrets.</summary>
    public override string ToString() => Op;

    // On a copy of the reader: what the other members are depends on it, and it is the first one in practice.
    private static string? OpOf(Utf8JsonReader reader)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject) throw new JsonException("A frame is an object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var found = reader.ValueTextEquals("op"u8);
            reader.Read();
            if (found) return SnapshotConverter.Text(ref reader);
            reader.Skip();
        }
        throw new JsonException("A frame has an op.");
    }

    private void ReadMember(string name, ref Utf8JsonReader reader)
    {
        // In a stale frame alone null says something; elsewhere it is as if it were not there.
        if (reader.TokenType == JsonTokenType.Null) return;
        switch (name)
        {
            case "id": Id = SnapshotConverter.Number(ref reader) is var id and >= 0 and <= int.MaxValue ? (int)id : throw new JsonException("An id is a number from 0."); break;
            case "epoch": Epoch = SnapshotConverter.Text(ref reader); break;
            case "etag": ETag = SnapshotConverter.Text(ref reader); break;
            case "release": Release = SnapshotConverter.Number(ref reader); break;
            case "from": From = SnapshotConverter.Number(ref reader); break;
            case "commit": Commit = SnapshotConverter.Text(ref reader); break;
            case "pinned": Pinned = SnapshotConverter.Number(ref reader); break;
            case "stale": Stale = SnapshotConverter.Stale(ref reader); break;
            case "service": Service = SnapshotConverter.Text(ref reader); break;
            case "environment": Environment = SnapshotConverter.Text(ref reader); break;
            case "label": Label = SnapshotConverter.Text(ref reader); break;
            case "values": Values = SnapshotConverter.Values(ref reader); break;
            case "set": Set = SnapshotConverter.Values(ref reader); break;
            case "unset": Unset = SnapshotConverter.Names(ref reader); break;
            case "secrets": Secrets = SnapshotConverter.Names(ref reader); break;
            case "withheld": Withheld = SnapshotConverter.Names(ref reader); break;
            case "since": Since = reader.TokenType == JsonTokenType.String && reader.TryGetDateTimeOffset(out var since) ? since : throw new JsonException("A time is expected."); break;
            case "reason": Reason = SnapshotConverter.Text(ref reader); break;
            case "code": Code = SnapshotConverter.Text(ref reader); break;
            case "detail": Detail = SnapshotConverter.Text(ref reader); break;
            case "retryAfterMs": RetryAfterMs = SnapshotConverter.Number(ref reader); break;
            default: reader.Skip(); break;
        }
    }
}
