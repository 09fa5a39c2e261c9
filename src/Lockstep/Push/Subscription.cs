using Lockstep.Fleet;
using Lockstep.Gate;
using Lockstep.Releases;

namespace Lockstep.Push;

/// <summary>One document that one connection watches.</summary>
/// <param name="id">The number the client chose for it.</param>
/// <param name="group">The document.</param>
/// <param name="watcher">The connection.</param>
/// <param name="member">Its place in the fleet; null where the client can't report.</param>
internal sealed class Subscription(int id, DocumentGroup group, Watcher watcher, FleetMember? member)
{
    // What the client was sent. Written by the watcher's turn alone, once it has started.
    private volatile Target? _held;
    private volatile Target? _target;

    private int _ended;

    public int Id => id;

    public bool IsEnded => Volatile.Read(ref _ended) != 0;

    public DocumentGroup Group => group;

    public Watcher Watcher => watcher;

    public FleetMember? Member => member;

    /// <summary>Its place in the group's list; the group's own.</summary>
    public int Place { get; set; } = -1;

    /// <summary>What may be sent, as it is on the record; null while there was nothing to send yet.</summary>
    public Target? Target
    {
        get => _target;
        set => _target = value;
    }

    /// <summary>What the client was sent last; null while it was sent nothing.</summary>
    public Target? Held => _held;

    /// <summary>Whether this call is the one that ends it.</summary>
    public bool TryEnd() => Interlocked.Exchange(ref _ended, 1) == 0;

    /// <summary>The client has this, by an answer to its subscribe.</summary>
    public void Start(Target? held) => (_held, _target) = (held, held);

    /// <summary>
    /// The next frame the client must be sent to hold the target; null: it does. However many changes there were since the last frame, they are one.
    /// </summary>
    public ServerFrame? Next()
    {
        var (held, target) = (_held, _target);
        if (target is null) return null;
        if (target.Document is { } document && document.ETag != held?.Document?.ETag)
        {
            if (held?.Document is null)
            {
                _held = target;
                return ServerFrame.Snapshot(id, target.Head, document);
            }
            // A change says nothing of staleness: where that differs too, its own frame follows.
            _held = target with { Head = target.Head with { Stale = held.Head.Stale } };
            return group.ChangeFrame(id, held, target);
        }
        if (held is null || held.Head.Stale == target.Head.Stale) return null;
        _held = held with { Head = held.Head with { Stale = target.Head.Stale } };
        return ServerFrame.Stale(id, target.Head.Stale);
    }
}

/// <summary>A document as it may be sent, or was. Without <paramref name="Document"/> only the head's staleness may be told.</summary>
internal sealed record Target(SnapshotHead Head, RenderedDocument? Document);
