using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>Keys kept in the database, wrapped by the master key: they outlive a change of it, and are the same on every node.</summary>
internal sealed class KeyRing(MasterKey masterKey)
{
    /// <summary>The 32-byte key of that name, made when it does not exist. Inside a write.</summary>
    public byte[] GetOrCreate(SqlSession session, string name)
    {
        var row = "key:" + name;
        var associatedData = Encoding.UTF8.GetBytes("lockstep/key\0" + name);
        if (Meta.GetData(session, row) is not { } wrapped)
        {
            var key = RandomNumberGenerator.GetBytes(32);
            Meta.SetData(session, row, masterKey.Wrap(key, associatedData));
            return key;
        }
        try
        {
            return masterKey.Unwrap(wrapped, associatedData);
        }
        catch (CryptographicException e)
        {
            throw new LockstepException(ErrorCode.Internal, $"the key {name} in the database does not open under the master key: the row was changed. Restore the database from a backup", e);
        }
    }
}
