using Lockstep.Secrets;
using Lockstep.Storage;

namespace Lockstep.Server;

/// <summary>The server's own keys, kept in the key ring: of the record's chain, of lists' cursors, of what documents say of the <c>{cipher}</c> key, of ETags.</summary>
internal sealed record ServerKeys(byte[] Audit, byte[] Cursors, byte[] CipherIdentity, byte[] ETag)
{
    /// <summary>Inside a write.</summary>
    public static ServerKeys Open(SqlSession session, KeyRing ring)
    {
        var keys = new ServerKeys(
            ring.GetOrDerive(session, "audit"), ring.GetOrDerive(session, "list-cursor"), ring.GetOrDerive(session, "cipher-identity"), ring.GetOrCreate(session, "etag-key"));
        KeyRing.EndDeriving(session);
        return keys;
    }
}
