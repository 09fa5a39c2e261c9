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

    // A number while the keys of before are to be derived still.
    private const string Underived = "keys-underived";

    /// <summary>The 32-byte key of that name, made when it does not exist. Inside a write.</summary>
    public byte[] GetOrCreate(SqlSession session, string name) => GetOrAdd(session, name, () => RandomNumberGenerator.GetBytes(RootKey.Length));

    /// <summary>
    /// A key that was derived from the master key by every program before the key ring had it. It begins as that, so that what was made with it still holds,
    /// and stays when the master key is changed. Between <see cref="MarkUnderived"/> and <see cref="EndDeriving"/> only: later a missing one was taken out, and another in its place
    /// would begin the record anew. Inside a write.
    /// </summary>
    /// <exception cref="LockstepException">internal when it is missing later.</exception>
    public byte[] GetOrDerive(SqlSession session, string name) => GetOrAdd(session, name, () => Meta.GetNumber(session, Underived) is not null
        ? masterKey.DeriveOfDatabase(name)
        : throw new LockstepException(ErrorCode.Internal, $"the key {name} is missing from the database: the row {Prefix}{name} of the table meta was taken out. Restore the database from a backup"));

    /// <summary>A database that no program with a key ring has opened before.</summary>
    public static void MarkUnderived(SqlSession session) => Meta.SetNumber(session, Underived, 1);

    /// <summary>All that used to be derived are there.</summary>
    public static void EndDeriving(SqlSession session)
    {
        if (Meta.GetNumber(session, Underived) is not null) Meta.SetNumber(session, Underived, null);
    }

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
