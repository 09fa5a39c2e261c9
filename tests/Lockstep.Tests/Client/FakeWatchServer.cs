using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Lockstep.Tests.Client;

/// <summary>A watch server at the wire that does what the test says, frame by frame.</summary>
internal sealed class FakeWatchServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly Channel<FakeWatchConnection> _connections = Channel.CreateUnbounded<FakeWatchConnection>();

    private FakeWatchServer(WebApplication app) => _app = app;

    public static TimeSpan Deadline { get; } = TimeSpan.FromSeconds(30);

    public Uri Address => new(_app.Urls.Single());

    /// <summary>The HTTP status to answer the upgrade with in its place; null: it is accepted.</summary>
    public Func<HttpContext, int?> Refuse { get; set; } = _ => null;

    /// <summary>Accepts connections and never reads from them, so that not even pings are answered.</summary>
    public bool Deaf { get; set; }

    private int _attempts;

    /// <summary>How many upgrades were asked for.</summary>
    public int Attempts => Volatile.Read(ref _attempts);

    public static async Task<FakeWatchServer> StartAsync(int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls($"http://127.0.0.1:{port}");
        builder.Logging.ClearProviders();
        var server = new FakeWatchServer(builder.Build());
        server._app.UseWebSockets();
        server._app.Run(server.HandleAsync);
        await server._app.StartAsync();
        return server;
    }

    /// <summary>The next connection that a client makes.</summary>
    public async Task<FakeWatchConnection> AcceptAsync() => await _connections.Reader.ReadAsync().AsTask().WaitAsync(Deadline);

    /// <summary>The next connection, greeted, with the subscription that it asked for in <see cref="FakeWatchConnection.Subscribed"/>.</summary>
    public async Task<FakeWatchConnection> GreetAsync(string epoch = "e1")
    {
        var connection = await AcceptAsync();
        await connection.ReadAsync("hello");
        await connection.SendAsync($$"""{"op":"welcome","epoch":"{{epoch}}","pingMs":20000,"maxFrame":65536,"maxSubscriptions":100}""");
        await connection.ReadSubscribeAsync();
        return connection;
    }

    /// <summary>The next connection, greeted and given a document.</summary>
    public async Task<FakeWatchConnection> ServeAsync(long release, string values, string epoch = "e1")
    {
        var connection = await GreetAsync(epoch);
        await connection.SnapshotAsync(release, values);
        return connection;
    }

    public async ValueTask DisposeAsync()
    {
        while (_connections.Reader.TryRead(out var waiting)) waiting.Abort();
        using var soon = new CancellationTokenSource(TimeSpan.FromMilliseconds(100));
        await _app.StopAsync(soon.Token);
        await _app.DisposeAsync();
    }

    private async Task HandleAsync(HttpContext context)
    {
        Interlocked.Increment(ref _attempts);
        if (Refuse(context) is { } status)
        {
            context.Response.StatusCode = status;
            return;
        }
        using var socket = await context.WebSockets.AcceptWebSocketAsync("lockstep.v1");
        var connection = new FakeWatchConnection(socket, context.Request.Headers.Authorization.ToString());
        _connections.Writer.TryWrite(connection);
        if (Deaf) await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
        else await connection.RunAsync(context.RequestAborted);
    }
}

/// <summary>One connection of a <see cref="FakeWatchServer"/>.</summary>
internal sealed class FakeWatchConnection(WebSocket socket, string authorization)
{
    private readonly Channel<JsonElement> _frames = Channel.CreateUnbounded<JsonElement>();
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Authorization => authorization;

    /// <summary>The newest subscribe frame.</summary>
    public JsonElement Subscribed { get; private set; }

    public int Id => Subscribed.GetProperty("id").GetInt32();

    /// <summary>The next frame of the client, which must be of that op.</summary>
    public async Task<JsonElement> ReadAsync(string op)
    {
        var frame = await _frames.Reader.ReadAsync().AsTask().WaitAsync(FakeWatchServer.Deadline);
        return frame.GetProperty("op").GetString() == op ? frame : throw new InvalidOperationException($"{op} was expected: {frame}");
    }

    /// <summary>Reads over what comes before a frame of that op; a subscribe is remembered.</summary>
    public async Task ReadUntilAsync(string op)
    {
        while (true)
        {
            var frame = await _frames.Reader.ReadAsync().AsTask().WaitAsync(FakeWatchServer.Deadline);
            var read = frame.GetProperty("op").GetString();
            if (read == "subscribe") Subscribed = frame;
            if (read == op) return;
        }
    }

    public async Task<JsonElement> ReadSubscribeAsync() => Subscribed = await ReadAsync("subscribe");

    /// <summary>Completes when the client has gone.</summary>
    public Task Gone => _gone.Task.WaitAsync(FakeWatchServer.Deadline);

    public Task SendAsync(string frame) => socket.SendAsync(Encoding.UTF8.GetBytes(frame), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);

    public Task SnapshotAsync(long release, string values, string secrets = "[]", string stale = "false") =>
        SendAsync($$"""{"op":"snapshot","id":{{Id}},"etag":"t{{release}}","release":{{release}},"commit":"9f1c","stale":{{stale}},"service":"payments","environment":"production","label":"main","values":{{values}},"secrets":{{secrets}},"withheld":[]}""");

    public Task CurrentAsync(long release, string etag) => SendAsync($$"""{"op":"current","id":{{Id}},"release":{{release}},"etag":"{{etag}}"}""");

    public Task ChangeAsync(long from, long release, string set, string unset = "[]", string more = "") =>
        SendAsync($$"""{"op":"change","id":{{Id}},"from":{{from}},"release":{{release}},"commit":"9f1d","etag":"t{{release}}","set":{{set}},"unset":{{unset}}{{more}}}""");

    public Task ErrorAsync(string code, string detail) => SendAsync($$"""{"op":"error","id":{{Id}},"code":"{{code}}","detail":"{{detail}}"}""");

    public Task CloseAsync(int status) => socket.CloseOutputAsync((WebSocketCloseStatus)status, "", CancellationToken.None);

    public void Abort() => socket.Abort();

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var buffer = new byte[64 * 1024];
        try
        {
            while (true)
            {
                var count = 0;
                ValueWebSocketReceiveResult part;
                do
                {
                    part = await socket.ReceiveAsync(buffer.AsMemory(count), cancellationToken);
                    count += part.Count;
                }
                while (!part.EndOfMessage);
                if (part.MessageType == WebSocketMessageType.Close) break;
                _frames.Writer.TryWrite(JsonElement.Parse(buffer.AsSpan(0, count)));
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException)
        {
            // Gone.
        }
        _frames.Writer.TryComplete();
        _gone.TrySetResult();
    }
}
