using System.Threading.Channels;

namespace Lockstep.Client;

/// <summary>Does one piece of work on a task of its own whenever it is asked to, one at a time. Requests that come meanwhile fold into one: memory is bounded however slow the work is.</summary>
internal sealed class Pump
{
    private readonly Channel<bool> _requests = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });
    private readonly AsyncLocal<bool> _inside = new();
    private readonly Task _loop;

    /// <param name="work">Does not throw.</param>
    public Pump(Func<ValueTask> work) => _loop = Task.Run(() => LoopAsync(work));

    public void Request() => _requests.Writer.TryWrite(true);

    /// <summary>Ends after what was requested is done. Called by the work itself, it does not wait.</summary>
    public Task StopAsync()
    {
        _requests.Writer.TryComplete();
        return _inside.Value ? Task.CompletedTask : _loop;
    }

    private async Task LoopAsync(Func<ValueTask> work)
    {
        _inside.Value = true;
        await foreach (var _ in _requests.Reader.ReadAllAsync()) await work();
    }
}
