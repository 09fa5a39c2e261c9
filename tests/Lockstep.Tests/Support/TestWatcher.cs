using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Lockstep.Tests.Support;

/// <summary>A watch connection, frame by frame. It follows the documents it is sent as a client must.</summary>
internal sealed class TestWatcher : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly ClientWebSocket _socket = new();

    /// <summary>What it holds of each subscription, as the frames make it.</summary>
    public Dictionary<int, HeldDocument> Held { get; } = [];

    public string Epoch { get; private set; } = "";

    public WebSocketCloseStatus? CloseStatus => _socket.CloseStatus;

    public WebSocket Socket => _socket;

    /// <summary>Connects and says hello; the welcome has been read.</summary>
    public static async Task<TestWatcher> ConnectAsync(TestServer server, string? token, string? instance = null, Action<ClientWebSocketOptions>? with = null)
    {
        var watcher = await OpenAsync(server, token, with);
        await watcher.SendAsync(new { op = "hello", instance });
        var welcome = await watcher.NextAsync();
        watcher.Epoch = welcome.TryGetProperty("epoch", out var epoch) ? epoch.GetString()! : throw new InvalidOperationException("there is no welcome: " + welcome);
        return watcher;
    }

    /// <summary>Connects and says nothing.</summary>
    public static async Task<TestWatcher> OpenAsync(TestServer server, string? token, Action<ClientWebSocketOptions>? with = null)
    {
        var watcher = new TestWatcher();
        watcher._socket.Options.AddSubProtocol("lockstep.v1");
        if (token is not null) watcher._socket.Options.SetRequestHeader("Authorization", "Bearer " + token);
        with?.Invoke(watcher._socket.Options);
        using var deadline = new CancellationTokenSource(s_patience);
        await watcher._socket.ConnectAsync(new Uri(server.Server.Address.Replace("http", "ws", StringComparison.Ordinal) + "/v1/watch"), deadline.Token);
        return watcher;
    }

    public Task SendAsync(object frame) => SendTextAsync(JsonSerializer.Serialize(frame, s_options));

    public async Task SendTextAsync(string text, WebSocketMessageType type = WebSocketMessageType.Text)
    {
        using var deadline = new CancellationTokenSource(s_patience);
        await _socket.SendAsync(Encoding.UTF8.GetBytes(text), type, endOfMessage: true, deadline.Token);
    }

    /// <summary>Subscribes to <c>service/environment</c>; what it holds under that number is told as what the client has.</summary>
    public async Task<JsonElement> SubscribeAsync(int id, string document, string? label = null)
    {
        var held = Held.GetValueOrDefault(id);
        var (service, environment) = (document.Split('/')[0], document.Split('/')[1]);
        await SendAsync(new { op = "subscribe", id, service, environment, label, etag = held?.ETag, release = held?.Release });
        return await NextAsync();
    }

    /// <summary>The next frame.</summary>
    public async Task<JsonElement> NextAsync() =>
        await NextOrCloseAsync() ?? throw new InvalidOperationException($"the connection was closed: {(int?)_socket.CloseStatus} {_socket.CloseStatusDescription}");

    /// <summary>The next frame, taken over into <see cref="Held"/>; null: the connection is closed.</summary>
    public async Task<JsonElement?> NextOrCloseAsync()
    {
        using var deadline = new CancellationTokenSource(s_patience);
        var buffer = new MemoryStream();
        var part = new byte[16 * 1024];
        WebSocketReceiveResult read;
        do
        {
            read = await _socket.ReceiveAsync(part, deadline.Token);
            if (read.MessageType == WebSocketMessageType.Close) return null;
            buffer.Write(part, 0, read.Count);
        }
        while (!read.EndOfMessage);
        var frame = JsonElement.Parse(buffer.ToArray());
        Take(frame);
        return frame;
    }

    /// <summary>Reads until <paramref name="reached"/>, taking over what comes.</summary>
    public async Task UntilAsync(Func<TestWatcher, bool> reached)
    {
        while (!reached(this)) await NextAsync();
    }

    /// <summary>Reads until a frame of this kind comes.</summary>
    public async Task<JsonElement> UntilOpAsync(string op)
    {
        while (true)
        {
            var frame = await NextAsync();
            if (frame.GetProperty("op").GetString() == op) return frame;
        }
    }

    /// <summary>The code the server closes with.</summary>
    public async Task<int> ClosedAsync()
    {
        while (await NextOrCloseAsync() is not null)
        {
            // What comes before.
        }
        return (int)_socket.CloseStatus!;
    }

    /// <summary>Shows that nothing was on its way: what comes next is the answer to this.</summary>
    public async Task<bool> IsQuietAsync()
    {
        await SendAsync(new { op = "subscribe", id = 999_999, service = "no service", environment = "no" });
        return (await NextAsync()).GetProperty("op").GetString() == "error";
    }

    public ValueTask DisposeAsync()
    {
        _socket.Abort();
        _socket.Dispose();
        return ValueTask.CompletedTask;
    }

    private void Take(JsonElement frame)
    {
        var op = frame.GetProperty("op").GetString();
        if (op is not ("snapshot" or "change" or "stale" or "current")) return;
        var id = frame.GetProperty("id").GetInt32();
        switch (op)
        {
            case "snapshot":
                Held[id] = new HeldDocument(frame.GetProperty("release").GetInt64(), frame.GetProperty("etag").GetString()!, (JsonObject)JsonNode.Parse(frame.GetRawText())!);
                break;
            case "change":
                Held[id] = Held[id].Apply(frame);
                break;
            case "current":
                Held[id] = Held[id] with { Release = frame.GetProperty("release").GetInt64() };
                break;
        }
    }

    private static readonly JsonSerializerOptions s_options = new() { DefaultIgnoreCondition = System.Text.Json.Serialization.JsonIgnoreCondition.WhenWritingNull };
}

/// <summary>A document as a client holds it.</summary>
internal sealed record HeldDocument(long Release, string ETag, JsonObject Document)
{
    public string? this[string key] => Document["values"]![key]?.ToString();

    /// <summary>The values, sorted, as text that can be compared.</summary>
    public string Values => string.Join('\n', ((JsonObject)Document["values"]!).OrderBy(v => v.Key, StringComparer.Ordinal).Select(v => $"{v.Key}={v.Value?.ToJsonString()}"));

    public string Lists => Document["secrets"]!.ToJsonString() + Document["withheld"]!.ToJsonString();

    public HeldDocument Apply(JsonElement change)
    {
        var (from, release) = (change.GetProperty("from").GetInt64(), change.GetProperty("release").GetInt64());
        if (from != Release) throw new Shouldly.ShouldAssertException($"a change from release {from}, and {Release} is held");
        if (release <= Release) throw new Shouldly.ShouldAssertException($"a change to release {release}, and {Release} is held");
        var next = (JsonObject)Document.DeepClone();
        var values = (JsonObject)next["values"]!;
        foreach (var value in change.GetProperty("set").EnumerateObject()) values[value.Name] = JsonNode.Parse(value.Value.GetRawText());
        foreach (var key in change.GetProperty("unset").EnumerateArray()) values.Remove(key.GetString()!);
        foreach (var list in new[] { "secrets", "withheld" })
            if (change.TryGetProperty(list, out var names)) next[list] = JsonNode.Parse(names.GetRawText());
        return new HeldDocument(release, change.GetProperty("etag").GetString()!, next);
    }
}
