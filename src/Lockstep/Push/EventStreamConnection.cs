using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Push;

/// <summary>Frames as server-sent events (HTML Living Standard, "Server-sent events").</summary>
internal sealed class EventStreamConnection : IWatchConnection, IDisposable
{
    /// <summary>A line that clients skip, so that nobody in between takes the connection for dead.</summary>
    public static readonly ServerFrame Ping = new("", null, ": ping"u8.ToArray(), default);

    private readonly HttpContext _context;
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenRegistration _gone;

    public EventStreamConnection(HttpContext context)
    {
        _context = context;
        _gone = context.RequestAborted.Register(() => _ended.TrySetResult());
    }

    /// <summary>Completes when the client is gone or the server has ended it.</summary>
    public Task Ended => _ended.Task;

    public async ValueTask SendAsync(ServerFrame frame, CancellationToken cancellationToken)
    {
        var writer = _context.Response.BodyWriter;
        if (frame.Op.Length > 0)
        {
            var id = frame.Release is { } release ? string.Create(CultureInfo.InvariantCulture, $"id: {release}\n") : "";
            // JSON has no line breaks of its own: one data line holds it.
            writer.Write(Encoding.ASCII.GetBytes($"event: {frame.Op}\n{id}data: "));
        }
        writer.Write(frame.Head.Span);
        await writer.WriteAsync(frame.Body, cancellationToken);
        await writer.WriteAsync("\n\n"u8.ToArray(), cancellationToken);
    }

    // The end of the answer says it; why was in the frame before.
    public ValueTask CloseAsync(WatchClose close, CancellationToken cancellationToken)
    {
        _ended.TrySetResult();
        return ValueTask.CompletedTask;
    }

    public void Abort() => _context.Abort();

    public void Dispose() => _gone.Dispose();
}
