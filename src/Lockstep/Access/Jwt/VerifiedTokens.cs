using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;

namespace Lockstep.Access.Jwt;

/// <summary>
/// The tokens that were verified, by hash. Bounded by two generations: when the young one is full it becomes the old one, and the old one is forgotten
/// but for what was asked for since. Only tokens that hold get in, so nobody without one can push others out.
/// </summary>
internal sealed class VerifiedTokens
{
    public const int MaxGeneration = 10_000;

    private readonly Lock _gate = new();
    private volatile ConcurrentDictionary<TokenHash, VerifiedToken> _young = new();
    private volatile ConcurrentDictionary<TokenHash, VerifiedToken> _old = new();
    private int _count;

    public VerifiedToken? Find(TokenHash hash)
    {
        if (_young.TryGetValue(hash, out var token)) return token;
        return _old.TryGetValue(hash, out token) ? Add(hash, token) : null;
    }

    /// <summary>The token that is kept for the hash: this one, or the one that was first.</summary>
    public VerifiedToken Add(TokenHash hash, VerifiedToken token)
    {
        lock (_gate)
        {
            if (_young.TryGetValue(hash, out var first)) return first;
            if (_old.TryGetValue(hash, out first)) token = first;
            if (_count == MaxGeneration) (_old, _young, _count) = (_young, new(), 0);
            _young[hash] = token;
            _count++;
            return token;
        }
    }

    public void Remove(TokenHash hash)
    {
        lock (_gate)
        {
            if (_young.TryRemove(hash, out _)) _count--;
            _old.TryRemove(hash, out _);
        }
    }
}

/// <summary>A token that was verified with the keys it was verified with, until when it is accepted.</summary>
internal sealed class VerifiedToken(JwtIdentity identity, IssuerKeys issuer, KeySet keys, DateTimeOffset end)
{
    private volatile KeySet _keys = keys;

    public JwtIdentity Identity { get; } = identity;

    /// <summary>Whether it is in time and the issuer's keys are those it was verified with.</summary>
    public bool Holds(DateTimeOffset now) => now < end && issuer.Current == _keys;

    /// <summary>It was verified again after the keys changed.</summary>
    public void VerifiedWith(KeySet keys) => _keys = keys;
}

/// <summary>The SHA-256 of a token.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct TokenHash(UInt128 High, UInt128 Low)
{
    /// <summary>The token must be ASCII and no longer than a token may be.</summary>
    public static TokenHash Of(string token)
    {
        Span<byte> text = stackalloc byte[token.Length];
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text[..Encoding.ASCII.GetBytes(token, text)], hash);
        return new(BinaryPrimitives.ReadUInt128BigEndian(hash), BinaryPrimitives.ReadUInt128BigEndian(hash[16..]));
    }
}
