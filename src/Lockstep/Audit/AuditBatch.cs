namespace Lockstep.Audit;

/// <summary>
/// Entries that will be written in one operation. Allowed events that are equal in all but time, trace, instance and count become one entry
/// with a count, naming up to <see cref="MaxInstances"/> instances; the first event's time and trace stay. Denials stay one by one. Used under
/// the log's lock until it is closed.
/// </summary>
internal sealed class AuditBatch
{
    public const int MaxInstances = 100;

    private readonly Dictionary<AuditEntry, Folded> _foldable = new(SameEvent.Instance);
    private readonly List<Folded> _all = [];
    private readonly TaskCompletionSource _written = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _delivered = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>How many entries it has come to.</summary>
    public int Count => _all.Count;

    /// <summary>Completes when all of it is durable in the database, or fails when none of it is.</summary>
    public Task Written => _written.Task;

    /// <summary>Completes when every sink has all of it too; fails when the database has none of it, or a sink not all.</summary>
    public Task Delivered => _delivered.Task;

    public void Add(AuditEntry entry)
    {
        if (entry.Decision != AuditEntry.Allowed)
        {
            _all.Add(new Folded(entry));
            return;
        }
        if (_foldable.TryGetValue(entry, out var same) && same.TryAdd(entry)) return;
        var folded = new Folded(entry);
        _foldable[entry] = folded;
        _all.Add(folded);
    }

    /// <summary>The entries in the order of their first events.</summary>
    public List<AuditEntry> Entries() => [.. _all.Select(f => f.ToEntry())];

    public void Complete() => _written.TrySetResult();

    public void Deliver() => _delivered.SetResult();

    public void Fail(Exception reason)
    {
        // What is in the database stays so when a sink fails.
        _written.TrySetException(reason);
        _delivered.SetException(reason);
        // Whoever waited may have been cancelled meanwhile.
        _ = (_written.Task.Exception, _delivered.Task.Exception);
    }

    private sealed class Folded(AuditEntry first)
    {
        private int _count = first.Count;
        private SortedSet<string>? _instances;

        public bool TryAdd(AuditEntry entry)
        {
            if (entry.Instances.Count > 0 && !(entry.Instances.Count == 1 && first.Instances.Count == 1 && entry.Instances[0] == first.Instances[0]))
            {
                _instances ??= new(first.Instances, StringComparer.Ordinal);
                var added = entry.Instances.Count(i => !_instances.Contains(i));
                if (_instances.Count + added > MaxInstances) return false;
                _instances.UnionWith(entry.Instances);
            }
            _count += entry.Count;
            return true;
        }

        public AuditEntry ToEntry() =>
            _count == first.Count && _instances is null ? first : first with { Count = _count, Instances = _instances is null ? first.Instances : [.. _instances] };
    }

    private sealed class SameEvent : IEqualityComparer<AuditEntry>
    {
        public static readonly SameEvent Instance = new();

        public bool Equals(AuditEntry? x, AuditEntry? y) =>
            ReferenceEquals(x, y)
            || (x is not null && y is not null
                && x.Action == y.Action && x.Actor == y.Actor && x.TokenId == y.TokenId && x.Address == y.Address && x.Route == y.Route
                && x.Subject == y.Subject && x.Release == y.Release && x.Detail == y.Detail && x.Decision == y.Decision
                && (ReferenceEquals(x.Secrets, y.Secrets) || x.Secrets.SequenceEqual(y.Secrets, StringComparer.Ordinal)));

        public int GetHashCode(AuditEntry entry) => HashCode.Combine(entry.Action, entry.TokenId, entry.Address, entry.Subject, entry.Release);
    }
}
