namespace Lockstep.Audit;

/// <summary>Work on a disk that may hang, one at a time and on a thread of its own: who waits is told in bounded time, and one thread at most is held.</summary>
internal sealed class PatientDisk(TimeProvider time)
{
    private readonly Lock _lock = new();
    private Task _last = Task.CompletedTask;

    /// <summary>Does it after what is under way. Given up, it may still come to its end later.</summary>
    /// <exception cref="IOException">It failed, or did not answer.</exception>
    public async Task<T> RunAsync<T>(Func<T> work, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(SinkFollower.Patience, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        try
        {
            while (true)
            {
                Task before;
                Task<T>? mine = null;
                lock (_lock)
                {
                    before = _last;
                    if (before.IsCompleted) _last = mine = Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
                }
                if (mine is not null) return await mine.WaitAsync(both.Token);
                await before.WaitAsync(both.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                both.Token.ThrowIfCancellationRequested();
            }
        }
        catch (OperationCanceledException e) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new IOException("the disk does not answer", e);
        }
    }
}
