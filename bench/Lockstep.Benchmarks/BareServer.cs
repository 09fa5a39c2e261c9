using System.Net.WebSockets;
using Lockstep.Robustness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Benchmarks;

/// <summary>The limit: Kestrel and nothing else, writing the same bytes to whoever asks, and to every WebSocket. It runs in a process of its own.</summary>
internal static class BareServer
{
    public static async Task<int> RunAsync(int port, string bodyFile)
    {
        var body = await File.ReadAllBytesAsync(bodyFile);
        await using var app = Build(port);
        app.Run(context =>
        {
            context.Response.ContentType = "application/json";
            context.Response.ContentLength = body.Length;
            return context.Response.Body.WriteAsync(body, context.RequestAborted).AsTask();
        });
        await app.RunAsync();
        return 0;
    }

    /// <summary><c>GET /watch</c> is a WebSocket that nothing but a push is sent over; <c>POST /push</c> writes its body to all of them, <c>POST /close</c> closes all of them, and both answer when that is done;
    /// <c>GET /</c> tells how many there are, which a watcher that has its upgrade need not be yet.</summary>
    public static async Task<int> RunWebSocketsAsync(int port)
    {
        var sockets = new List<WebSocket>();
        await using var app = Build(port);
        app.UseWebSockets(new() { KeepAliveInterval = TimeSpan.Zero });
        app.Run(context => context.Request.Path.Value switch
        {
            "/watch" => ListenAsync(context, sockets),
            "/push" => PushAsync(context, sockets),
            "/close" => CloseAsync(context, sockets),
            _ => CountAsync(context, sockets),
        });
        await app.RunAsync();
        return 0;
    }

    public static System.Diagnostics.ProcessStartInfo Command(int port, string bodyFile) => Tool.Start(Self, ["bare", $"{port}", bodyFile]);

    public static System.Diagnostics.ProcessStartInfo WebSocketsCommand(int port) => Tool.Start(Self, ["bare-websockets", $"{port}"]);

    /// <summary>This program.</summary>
    public static string Self => Environment.ProcessPath!;

    private static WebApplication Build(int port)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel => kestrel.ListenLocalhost(port));
        return builder.Build();
    }

    private static async Task ListenAsync(HttpContext context, List<WebSocket> sockets)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        lock (sockets) sockets.Add(socket);
        try
        {
            // Without a buffer of its own: an idle connection costs what Kestrel and the WebSocket cost.
            while ((await socket.ReceiveAsync(Memory<byte>.Empty, context.RequestAborted)).MessageType != WebSocketMessageType.Close)
            {
            }
        }
        catch (Exception e) when (e is WebSocketException or OperationCanceledException or IOException)
        {
            // The watchers leave by a reset.
        }
        finally
        {
            lock (sockets) sockets.Remove(socket);
        }
    }

    private static Task CountAsync(HttpContext context, List<WebSocket> sockets)
    {
        string count;
        lock (sockets) count = $"{sockets.Count}";
        context.Response.ContentLength = count.Length;
        return context.Response.WriteAsync(count);
    }

    private static async Task PushAsync(HttpContext context, List<WebSocket> sockets)
    {
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var frame = body.ToArray();
        WebSocket[] all;
        lock (sockets) all = [.. sockets];
        foreach (var socket in all) await socket.SendAsync(frame, WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        context.Response.StatusCode = 204;
    }

    private static async Task CloseAsync(HttpContext context, List<WebSocket> sockets)
    {
        WebSocket[] all;
        lock (sockets) all = [.. sockets];
        foreach (var socket in all) await socket.CloseOutputAsync((WebSocketCloseStatus)4401, "the token is not valid (any more)", CancellationToken.None);
        context.Response.StatusCode = 204;
    }
}
