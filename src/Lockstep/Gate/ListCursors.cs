using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Secrets;

namespace Lockstep.Gate;

/// <summary>Where a list goes on when that is at an id that the caller must not learn of: the id, encrypted.</summary>
internal sealed class ListCursors(byte[] key)
{
    // No id begins so.
    private const char Mark = '~';

    public string Seal(string id) => Mark + Base64Url.EncodeToString(Envelope.Seal(key, Encoding.UTF8.GetBytes(id), "list cursor"u8));

    /// <summary>An id as it is, and what <see cref="Seal"/> made as the id it holds.</summary>
    /// <exception cref="LockstepException">bad-request when it is neither.</exception>
    public string? Open(string? after)
    {
        if (after is not [Mark, ..]) return after;
        try
        {
            return Encoding.UTF8.GetString(Envelope.Open(key, Base64Url.DecodeFromChars(after.AsSpan(1)), "list cursor"u8));
        }
        catch (Exception e) when (e is CryptographicException or FormatException)
        {
            throw new LockstepException(ErrorCode.BadRequest, "the query parameter 'after' must be the 'next' of the page before");
        }
    }
}
