using System.Diagnostics;
using System.Text;

namespace Lockstep.Benchmarks;

/// <summary>Many watchers of one server. All of their sockets are one thread's, the same for every kind of server, so that what a client costs is equal and small.</summary>
internal sealed class Crowd : IAsyncDisposable
{
    /// <summary>How many connect at once. Below Kestrel's backlog of 512: a connection that it drops tries again after a second, which would be all that is measured.</summary>
    private const int Window = 256;

    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(2);

    private readonly Dialect _dialect;
    private readonly Watcher[] _watchers;
    private readonly Queue<int> _unconnected;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _readyCount;
    private volatile Round? _round;
    private volatile Exception? _failure;
    private volatile bool _end;

    private Crowd(Dialect dialect, int count)
    {
        _dialect = dialect;
        _watchers = [.. Enumerable.Range(0, count).Select(id => new Watcher(id))];
        _unconnected = new(Enumerable.Range(0, count));
        _thread = new(Run) { IsBackground = true, Name = "crowd" };
    }

    /// <summary>How long it took until the last one was ready.</summary>
    public TimeSpan Connecting { get; private set; }

    /// <summary>Connections that were refused or broke before they were ready; each was tried again.</summary>
    public int Errors { get; private set; }

    /// <summary>Connects all of them and waits until every one is ready.</summary>
    public static async Task<Crowd> ConnectAsync(Dialect dialect, int count)
    {
        var crowd = new Crowd(dialect, count);
        var start = Stopwatch.GetTimestamp();
        crowd._thread.Start();
        try
        {
            await crowd._ready.Task.WaitAsync(s_deadline);
            crowd.Connecting = Stopwatch.GetElapsedTime(start);
            return crowd;
        }
        catch (TimeoutException e)
        {
            var reached = Volatile.Read(ref crowd._readyCount);
            await crowd.DisposeAsync();
            throw new TimeoutException($"{reached} of {count} watchers are ready after {s_deadline}, with {crowd.Errors} errors", e);
        }
        catch
        {
            await crowd.DisposeAsync();
            throw;
        }
    }

    /// <summary>From now on watches for messages that contain these bytes. One round at a time.</summary>
    public Round Expect(byte[] marker)
    {
        var round = _round = new Round(marker, _watchers.Length);
        if (_failure is { } failure) round.Fail(failure);   // looked at after the round is there: the thread does it the other way round
        return round;
    }

    /// <summary>Closes every connection at once.</summary>
    public async ValueTask DisposeAsync()
    {
        _end = true;
        await Task.Run(_thread.Join);
        foreach (var watcher in _watchers) watcher.Dispose();
    }

    private void Run()
    {
        try
        {
            using var epoll = new Epoll();
            var buffer = new byte[1 << 20];
            Func<Watcher, ReadOnlyMemory<byte>, int> take = Take;
            Action<Watcher> open = w => Open(w, epoll), receive = w => w.Receive(buffer, take);
            var underWay = 0;
            while (!_end)
            {
                while (underWay < Window && _unconnected.TryDequeue(out var id))
                {
                    underWay++;
                    if (!Try(_watchers[id], open)) underWay--;
                }
                var count = epoll.Wait(milliseconds: 50);
                for (var n = 0; n < count; n++)
                {
                    var watcher = _watchers[epoll[n]];
                    var was = watcher.Ready;
                    var lives = Try(watcher, receive);
                    if (was || (lives && !watcher.Ready)) continue;
                    underWay--;
                    if (lives && Interlocked.Increment(ref _readyCount) == _watchers.Length) _ready.TrySetResult();
                }
            }
        }
        catch (Exception e)
        {
            _failure = e;
            _ready.TrySetException(e);
            _round?.Fail(e);
        }
    }

    /// <summary>A watcher that fails before it is ready is tried again, each one once on average; one that is lost later ends the crowd.</summary>
    private bool Try(Watcher watcher, Action<Watcher> action)
    {
        try
        {
            action(watcher);
            return true;
        }
        catch (Exception e) when (e is WatcherLostException or System.Net.Sockets.SocketException && !watcher.Ready)
        {
            if (++Errors > _watchers.Length) throw;
            watcher.Dispose();
            _unconnected.Enqueue(watcher.Id);
            return false;
        }
    }

    private void Open(Watcher watcher, Epoll epoll)
    {
        epoll.Watch(watcher.Connect(_dialect.Server), watcher.Id);
        watcher.Send(_dialect.Opening.Span);
    }

    private int Take(Watcher watcher, ReadOnlyMemory<byte> input)
    {
        var length = _dialect.Take(watcher, input, out var message);
        if (!message.IsEmpty && watcher.Ready) _round?.Hear(watcher.Id, message.Span);
        return length;
    }
}

/// <summary>One message on its way to every watcher of a crowd.</summary>
internal sealed class Round(byte[] marker, int watchers)
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(1);

    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly long[] _heard = new long[watchers];
    private int _count;

    /// <summary>The message as the first watcher had it.</summary>
    public byte[] Message { get; private set; } = [];

    /// <summary>Waits until every watcher has it; the moments of the first and the last.</summary>
    public async Task<(long First, long Last)> DoneAsync()
    {
        try
        {
            await _done.Task.WaitAsync(s_deadline);
        }
        catch (TimeoutException e)
        {
            throw new TimeoutException($"{Volatile.Read(ref _count)} of {watchers} watchers have '{Encoding.UTF8.GetString(marker.AsSpan(0, Math.Min(marker.Length, 100)))}' after {s_deadline}", e);
        }
        return (_heard.Min(), _heard.Max());
    }

    /// <summary>How long after <paramref name="start"/> that share of the watchers had it; when all have.</summary>
    public TimeSpan After(long start, double share)
    {
        var sorted = _heard.Order().ToList();
        return Stopwatch.GetElapsedTime(start, sorted[Math.Min(sorted.Count - 1, (int)(share * sorted.Count))]);
    }

    public void Fail(Exception e) => _done.TrySetException(e);

    public void Hear(int watcher, ReadOnlySpan<byte> message)
    {
        if (_heard[watcher] != 0 || message.IndexOf(marker) < 0) return;
        _heard[watcher] = Stopwatch.GetTimestamp();
        if (_count == 0) Message = message.ToArray();
        if (++_count == watchers) _done.TrySetResult();
    }
}
