using System.Security.Cryptography;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>
/// What the database knows of its master key. <paramref name="Check"/>: the key that all is wrapped by, null before the first start.
/// <paramref name="Next"/>: while the key is being changed, the one that some is wrapped by already. <paramref name="Sealed"/> and <paramref name="SealedNext"/>: those two,
/// encrypted by a Vault, when one keeps them. <paramref name="Id"/>: the database's own name, which these are bound to.
/// </summary>
internal sealed record MasterKeyState(byte[]? Check, byte[]? Next, string? Sealed, string? SealedNext, string Id)
{
    private const string CheckRow = "master-key-check";
    private const string NextRow = "master-key-next";
    private const string SealedRow = "master-key-sealed";
    private const string SealedNextRow = "master-key-sealed-next";
    private const string IdRow = "database-id";

    /// <summary>Inside a write, so that it stands behind every write before it, also one of which it was not known whether it was made.</summary>
    public static MasterKeyState Read(SqlSession session)
    {
        if (Meta.GetText(session, IdRow) is not { } id)
        {
            id = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
            Meta.SetText(session, IdRow, id);
            // Every program that names databases has a key ring.
            KeyRing.MarkUnderived(session);
        }
        return new(Meta.GetData(session, CheckRow), Meta.GetData(session, NextRow), Meta.GetText(session, SealedRow), Meta.GetText(session, SealedNextRow), id);
    }

    /// <summary>Whether a change of the key has begun and not ended.</summary>
    public static bool IsChanging(SqlSession session) => Meta.GetData(session, NextRow) is not null;

    /// <summary>The database's own name, once it was read in a write.</summary>
    public static string? IdOf(SqlSession session) => Meta.GetText(session, IdRow);

    /// <summary>The first start: the key is this database's from now on, unless it has one already.</summary>
    public static void Found(SqlSession session, NewMasterKey key)
    {
        if (Meta.GetData(session, CheckRow) is not null) return;
        Meta.SetData(session, CheckRow, key.Key.Check);
        Meta.SetText(session, SealedRow, key.Sealed);
    }

    /// <summary>From here on rows may be wrapped by the new key.</summary>
    public static void Begin(SqlSession session, NewMasterKey next)
    {
        Meta.SetData(session, NextRow, next.Key.Check);
        Meta.SetText(session, SealedNextRow, next.Sealed);
    }

    /// <summary>From here on none is wrapped by the old one.</summary>
    public static void End(SqlSession session, RootKey key)
    {
        Meta.SetData(session, CheckRow, key.Check);
        Meta.SetText(session, SealedRow, Meta.GetText(session, SealedNextRow));
        Meta.SetData(session, NextRow, null);
        Meta.SetText(session, SealedNextRow, null);
    }
}
