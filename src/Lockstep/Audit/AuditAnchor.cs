using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>The last entry of a node that was deleted for its age: where the kept ones begin. Under a key of its own, so that nobody else can delete from the beginning.</summary>
internal static class AuditAnchor
{
    private const string Prefix = "audit-anchor:";

    /// <summary>The node's anchor; null: nothing was deleted yet.</summary>
    /// <exception cref="LockstepException">internal when it was changed.</exception>
    public static SignedTail? Read(SqlSession session, string node, byte[] key)
    {
        if (Meta.GetData(session, Prefix + node) is not { } data) return null;
        return SignedTail.Parse(data) is { } anchor && anchor.Node == node && anchor.IsAuthentic(key) ? anchor : throw new LockstepException(ErrorCode.Internal,
            $"the row {Prefix}{node} of the table meta, which tells up to where the audit record was deleted for its age, was changed; run: lockstep audit verify");
    }

    public static void Write(SqlSession session, SignedTail anchor) => Meta.SetData(session, Prefix + anchor.Node, anchor.Serialize());

    /// <summary>The nodes that have one.</summary>
    public static List<string> Nodes(SqlSession session) =>
        session.Query("SELECT name FROM meta WHERE name LIKE 'audit-anchor:%'", row => row.GetString(0)[Prefix.Length..]);
}
