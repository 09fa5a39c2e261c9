using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>Keys kept in the database, wrapped by the master key: they outlive a change of it, and are the same on every node.</summary>
internal sealed class KeyRing(MasterKey masterKey)
{
    /// <summary>How the names of its rows begin.</summary>
    public const string Prefix = "key:";

    /// <summary>The 32-byte key of that name, made when it does not exist. Inside a write.</summary>
    public byte[] GetOrCreate(SqlSession session, string name) => GetOrAdd(session, name, () => RandomNumberGenerator.GetBytes(RootKey.Length));

    /// <summary>
    /// A key that was derived from the master key by every program before the key ring had it. It begins as that, so that what was made with it still holds,
    /// and stays when the master key is changed. Inside a write.
    /// </summary>
    public byte[] GetOrDerive(SqlSession session, string name) => GetOrAdd(session, name, () => masterKey.Derive(name));

    /// <summary>What a key's wrapping is bound to.</summary>
    public static byte[] Binding(string name) => Encoding.UTF8.GetBytes("lockstep/key\0" + name);

    private byte[] GetOrAdd(SqlSession session, string name, Func<byte[]> make)
    {
        if (Meta.GetData(session, Prefix + name) is not { } wrapped)
        {
            var key = make();
            Meta.SetData(session, Prefix + name, masterKey.Wrap(key, Binding(name)));
            return key;
        }
        try
        {
            return masterKey.Unwrap(wrapped, Binding(name));
        }
        catch (CryptographicException e)
        {
            throw new LockstepException(ErrorCode.Internal, $"the key {name} in the database does not open under the master key: the row was changed. Restore the database from a backup", e);
        }
    }
}
