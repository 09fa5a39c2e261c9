namespace Lockstep.Releases;

/// <summary>What one release changed, in bounds: every document is counted; the first are named with their keys.</summary>
/// <param name="named">How many documents are named at the most.</param>
internal sealed class ReleaseChanges(int named)
{
    private const int MaxKeys = 1_000;
    private const int MaxKeysNamed = 20_000;

    private readonly SortedSet<string> _keys = new(StringComparer.Ordinal);
    private readonly List<DocumentChange> _documents = [];
    private int _keysNamed;

    /// <summary>How many documents changed.</summary>
    public int Count { get; private set; }

    /// <summary>The keys that changed in any of them, sorted; at most 1,000.</summary>
    public IReadOnlyCollection<string> Keys => _keys;

    /// <summary>The first documents, each with all its keys.</summary>
    public IReadOnlyList<DocumentChange> Documents => _documents;

    public static ReleaseChanges Of(DocumentChange change)
    {
        var changes = new ReleaseChanges(1);
        changes.Add(change);
        return changes;
    }

    public void Add(DocumentChange change)
    {
        Count++;
        var keys = change.Keys ?? [];
        foreach (var key in keys)
        {
            if (_keys.Count == MaxKeys) break;
            _keys.Add(key);
        }
        // The first one that is left out ends the list, so that what is named is the beginning and not a choice.
        if (_documents.Count == named || _documents.Count < Count - 1 || _keysNamed + keys.Length > MaxKeysNamed) return;
        _keysNamed += keys.Length;
        _documents.Add(change);
    }
}
