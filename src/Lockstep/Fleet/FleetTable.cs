using Lockstep.Config;

namespace Lockstep.Fleet;

/// <summary>
/// Who watches which document now. An instance is named by its token and its own name; when it connects anew before its old connection is
/// known to be dead, the newer one stands for it.
/// </summary>
internal sealed class FleetTable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<DocumentKey, HashSet<FleetMember>> _documents = [];

    public void Join(DocumentKey key, FleetMember member)
    {
        lock (_lock)
        {
            if (!_documents.TryGetValue(key, out var members)) _documents[key] = members = [];
            members.Add(member);
        }
    }

    public void Leave(DocumentKey key, FleetMember member)
    {
        lock (_lock)
        {
            if (_documents.TryGetValue(key, out var members) && members.Remove(member) && members.Count == 0) _documents.Remove(key);
        }
    }

    /// <summary>The members of a document, by token and instance; of those with one name the newest.</summary>
    public List<FleetMember> Of(DocumentKey key)
    {
        lock (_lock)
        {
            if (!_documents.TryGetValue(key, out var members)) return [];
            return [.. members
                .GroupBy(m => m.Instance is null ? (object)m : (m.TokenId, m.Instance))
                .Select(g => g.MaxBy(m => m.JoinedAt)!)
                .OrderBy(m => m.Token, StringComparer.Ordinal).ThenBy(m => m.Instance, StringComparer.Ordinal)];
        }
    }
}
