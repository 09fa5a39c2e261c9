using System.Diagnostics.CodeAnalysis;
using System.Net.WebSockets;
using Lockstep.Access;

namespace Lockstep.Push;

/// <summary>
/// One connection of an identified caller. Between changes it is this object and nothing that runs: whoever has something for it calls <see cref="Wake"/>,
/// and frames leave in that call as far as the network takes them.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore without a wait handle holds nothing; who still wakes a watcher that has gone must not meet a disposed one.")]
internal sealed class Watcher(WatchHub hub, IWatchConnection connection, CallContext call)
{
    private readonly List<Subscription> _subscriptions = [];

    // Frames leave one at a time, answers and changes alike.
    private readonly SemaphoreSlim _turn = new(1, 1);
    private int _wakes;
    private long _sendingSince;
    private long _closingSince;

    public IWatchConnection Connection => connection;

    public CallContext Call => call;

    public int Count => _subscriptions.Count;

    public bool IsClosing => Volatile.Read(ref _closingSince) != 0;

    public Subscription? Find(int id) => _subscriptions.Find(s => s.Id == id);

    /// <summary>Takes a subscription in before it is answered: from here on it ends with the connection. Its group is joined after the answer.</summary>
    public void Add(Subscription subscription)
    {
        lock (_subscriptions) _subscriptions.Add(subscription);
        // A connection that is closed leaves what is in the list; what comes into it after that is left here.
        if (IsClosing) hub.Leave(subscription);
    }

    public void Remove(Subscription subscription)
    {
        lock (_subscriptions) _subscriptions.Remove(subscription);
        hub.Leave(subscription);
    }

    /// <summary>Something may be due for this connection.</summary>
    public void Wake()
    {
        if (Interlocked.Increment(ref _wakes) == 1) _ = DrainAsync();
    }

    /// <summary>Sends an answer, unless the connection is being closed; completes when the network has taken it up, so that who asks without reading waits.</summary>
    public ValueTask SendAsync(ServerFrame frame, CancellationToken cancellationToken) => SendAsync(frame, last: false, cancellationToken);

    private async ValueTask SendAsync(ServerFrame frame, bool last, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken);
        try
        {
            if (last || !IsClosing) await SendNowAsync(frame, cancellationToken);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Ends the connection: no frame leaves any more but <paramref name="goodbye"/>, and then the reason.</summary>
    public void Close(WatchClose close, ServerFrame? goodbye = null)
    {
        if (Interlocked.CompareExchange(ref _closingSince, hub.Now, 0) != 0) return;
        WatchMetrics.Closed.Add(1, new KeyValuePair<string, object?>("code", close.Code));
        LeaveAll();
        _ = CloseAsync(close, goodbye);
    }

    /// <summary>The client is gone, or has said that it goes.</summary>
    public void Left()
    {
        _ = Interlocked.CompareExchange(ref _closingSince, hub.Now, 0);
        LeaveAll();
    }

    /// <summary>Called now and then: ends what takes too long.</summary>
    public void Check()
    {
        var now = hub.Now;
        var (sending, closing) = (Volatile.Read(ref _sendingSince), Volatile.Read(ref _closingSince));
        if (closing != 0 && now - closing > WatchLimits.Closing.TotalMilliseconds) connection.Abort();
        else if (sending != 0 && now - sending > WatchLimits.Slow.TotalMilliseconds) Close(WatchClose.TooSlow);
    }

    private async Task DrainAsync()
    {
        var asked = 1;
        do await SendDueAsync();
        while ((asked = Interlocked.Add(ref _wakes, -asked)) != 0);
    }

    private async ValueTask SendDueAsync()
    {
        await _turn.WaitAsync();
        try
        {
            while (!IsClosing && NextDue() is { } frame) await SendNowAsync(frame, CancellationToken.None);
        }
        catch (Exception e)
        {
            // Gone in mid-frame: the reading side sees it too and cleans up. Anything else must not leave a connection that hears nothing any more.
            if (!IsGone(e)) hub.LogDefect(e, "to a watcher");
            connection.Abort();
        }
        finally
        {
            _turn.Release();
        }
    }

    private static bool IsGone(Exception e) => e is IOException or WebSocketException or InvalidOperationException or OperationCanceledException;

    private ServerFrame? NextDue()
    {
        lock (_subscriptions)
        {
            foreach (var subscription in _subscriptions)
                if (subscription.Next() is { } frame) return frame;
            return null;
        }
    }

    private async ValueTask SendNowAsync(ServerFrame frame, CancellationToken cancellationToken)
    {
        Volatile.Write(ref _sendingSince, hub.Now);
        await connection.SendAsync(frame, cancellationToken);
        Volatile.Write(ref _sendingSince, 0);
    }

    private async Task CloseAsync(WatchClose close, ServerFrame? goodbye)
    {
        using var deadline = new CancellationTokenSource(WatchLimits.Closing, hub.Gate.Time);
        try
        {
            if (goodbye is { } frame) await SendAsync(frame, last: true, deadline.Token);
            await connection.CloseAsync(close, deadline.Token);
        }
        catch (Exception e) when (IsGone(e))
        {
            connection.Abort();
        }
    }

    private void LeaveAll()
    {
        Subscription[] left;
        lock (_subscriptions) left = [.. _subscriptions];
        foreach (var subscription in left) hub.Leave(subscription);
    }
}
