using System.Diagnostics.Metrics;
using System.Globalization;
using System.Runtime.CompilerServices;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Secrets;

/// <summary>
/// The read budget: one version of one secret is read from its store once, however many ask at the same time, and kept while there is room.
/// A version never changes, so nothing kept is ever out of date; <see cref="Forget"/> is for what was destroyed. A read that failed is not kept.
/// </summary>
internal sealed class SecretReader(SecretMounts mounts, TimeProvider time, int maxEntries = 10_000, long maxBytes = 64L << 20)
{
    private static readonly TimeSpan s_readTimeout = TimeSpan.FromSeconds(30);

    private static readonly Histogram<double> s_reads = Telemetry.Seconds("lockstep.secrets.read.duration", "Reads of secret versions from their stores, by mount; failed ones with an error.type");

    private readonly Lock _lock = new();
    private readonly Dictionary<(SecretId Id, int Version), LinkedListNode<Entry>> _kept = [];
    private readonly Dictionary<(SecretId Id, int Version), Task<SecretValue>> _flights = [];
    // Most recently used first.
    private readonly LinkedList<Entry> _order = [];
    private long _bytes;

    /// <exception cref="LockstepException">What the store says; unavailable when it does not answer in time.</exception>
    public Task<SecretValue> ReadAsync(SecretId id, int version, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested) return Task.FromCanceled<SecretValue>(cancellationToken);
        var key = (id, version);
        TaskCompletionSource<SecretValue>? mine = null;
        Task<SecretValue>? flight;
        lock (_lock)
        {
            if (_kept.TryGetValue(key, out var node))
            {
                _order.Remove(node);
                _order.AddFirst(node);
                return Task.FromResult(node.Value.Value);
            }
            if (!_flights.TryGetValue(key, out flight))
            {
                mine = new(TaskCreationOptions.RunContinuationsAsynchronously);
                _flights.Add(key, flight = mine.Task);
            }
        }
        // The read belongs to nobody who waits: one who gives up leaves the others theirs.
        if (mine is not null) _ = FlyAsync(key, mine);
        return flight.WaitAsync(cancellationToken);
    }

    /// <summary>Keeps the value of a version that is about to be written. When the write fails the caller forgets it again.</summary>
    public void Remember(SecretId id, int version, SecretValue value)
    {
        lock (_lock)
        {
            if (_kept.ContainsKey((id, version))) return;
            Keep(new Entry(id, version, value));
        }
    }

    /// <summary>Drops a version from memory, also one that is being read now.</summary>
    public void Forget(SecretId id, int version)
    {
        lock (_lock)
        {
            _flights.Remove((id, version));
            if (_kept.TryGetValue((id, version), out var node)) Drop(node);
        }
    }

    private async Task FlyAsync((SecretId Id, int Version) key, TaskCompletionSource<SecretValue> answer)
    {
        try
        {
            using var timeout = new CancellationTokenSource(s_readTimeout, time);
            var value = await ReadAsync(key, timeout.Token);
            Land(key, answer.Task, value);
            answer.SetResult(value);
        }
        catch (Exception e)
        {
            Land(key, answer.Task, null);
            answer.SetException(e is OperationCanceledException
                ? new LockstepException(ErrorCode.Unavailable, string.Create(CultureInfo.InvariantCulture, $"the store of the secret {key.Id} did not answer within {s_readTimeout.TotalSeconds} s"), e)
                : e);
            // Those who waited may all be gone.
            _ = answer.Task.Exception;
        }
    }

    private async Task<SecretValue> ReadAsync((SecretId Id, int Version) key, CancellationToken cancellationToken)
    {
        using var timed = Telemetry.Time(s_reads, "secret read", new("mount", mounts.MountOf(key.Id)));
        var value = await mounts.StoreOf(key.Id).ReadAsync(key.Id, key.Version, cancellationToken);
        timed.Done();
        return value;
    }

    // The flight ends before its answer is given, so that who asks after a failure starts a new one.
    private void Land((SecretId Id, int Version) key, Task<SecretValue> flight, SecretValue? value)
    {
        lock (_lock)
        {
            // Forgotten meanwhile, and maybe started anew by somebody else.
            if (!_flights.TryGetValue(key, out var current) || current != flight) return;
            _flights.Remove(key);
            if (value is null) return;
            if (!_kept.ContainsKey(key)) Keep(new Entry(key.Id, key.Version, value));
        }
    }

    private void Keep(Entry entry)
    {
        _kept.Add((entry.Id, entry.Version), _order.AddFirst(entry));
        _bytes += entry.Bytes;
        while ((_kept.Count > maxEntries || _bytes > maxBytes) && _order.Last is { } oldest) Drop(oldest);
    }

    private void Drop(LinkedListNode<Entry> node)
    {
        _order.Remove(node);
        _kept.Remove((node.Value.Id, node.Value.Version));
        _bytes -= node.Value.Bytes;
    }

    private sealed record Entry(SecretId Id, int Version, SecretValue Value)
    {
        // The text twice (itself and its fields), and the objects around it.
        public long Bytes => (4L * Value.Length) + (2L * Id.Value.Length) + (32 * Unsafe.SizeOf<nint>());
    }
}
