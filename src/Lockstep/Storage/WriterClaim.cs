using System.Security.Cryptography;

namespace Lockstep.Storage;

/// <summary>
/// This process's right to be the one writer. A connection that is lost takes its lock with it; when the lock is taken again the name
/// in the table says whether another server wrote meanwhile. If one did, what this process holds in memory is out of date and it must not write.
/// </summary>
internal sealed class WriterClaim
{
    private const string Row = "writer";
    private readonly string _name = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));

    /// <summary>In the transaction that opens the database, once the dialect's claim is held.</summary>
    public void Record(SqlSession session) => Meta.SetText(session, Row, _name);

    /// <exception cref="WriterClaimException">Somebody else holds it, or held it.</exception>
    public void Retake(Dialect dialect, SqlSession session)
    {
        if (dialect.Claim(session) is { } refusal) throw new WriterClaimException(refusal);
        if (!string.Equals(Meta.GetText(session, Row), _name, StringComparison.Ordinal))
            throw new WriterClaimException("another server has written to it while the connection was lost; restart this one");
    }
}

/// <summary>The message says who has the claim and what to do.</summary>
internal sealed class WriterClaimException(string message) : Exception(message);
