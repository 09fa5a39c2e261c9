using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text.Json;

namespace Lockstep.Access.Jwt;

/// <summary>The keys an issuer published at one time.</summary>
internal sealed class KeySet
{
    public const int MaxKeys = 100;

    private readonly byte[] _digest;

    private KeySet(ImmutableArray<VerificationKey> keys, byte[] digest) => (Keys, _digest) = (keys, digest);

    public ImmutableArray<VerificationKey> Keys { get; }

    /// <summary>Reads a set (RFC 7517 §5). Keys that can't be used here are left out; one of them at least must be usable.</summary>
    public static bool TryRead(byte[] utf8, [NotNullWhen(true)] out KeySet? set)
    {
        set = null;
        if (!StrictJson.TryParse(utf8, out var document)) return false;
        using (document)
        {
            if (!document.RootElement.TryGetProperty("keys", out var items) || items.ValueKind != JsonValueKind.Array || items.GetArrayLength() > MaxKeys) return false;
            var keys = ImmutableArray.CreateBuilder<VerificationKey>();
            foreach (var item in items.EnumerateArray())
                if (VerificationKey.TryRead(item, out var key)) keys.Add(key);
            if (keys.Count == 0) return false;
            set = new KeySet(keys.ToImmutable(), SHA256.HashData(utf8));
            return true;
        }
    }

    public bool IsSameAs(KeySet other) => _digest.AsSpan().SequenceEqual(other._digest);

    /// <summary>Whether the key is still published.</summary>
    public bool Holds(VerificationKey key) => Keys.Any(k => ReferenceEquals(k, key) || k.IsSameAs(key));

    /// <summary>The one key for a token with this head. Of several that fit none is taken: which it is must not be a matter of trying.</summary>
    public JwtFailure Select(string algorithm, string? keyId, out VerificationKey? key)
    {
        key = null;
        var named = keyId is null ? Keys : [.. Keys.Where(k => k.Id == keyId)];
        if (named.IsEmpty) return JwtFailure.UnknownKey;
        foreach (var candidate in named.Where(k => k.Fits(algorithm)))
        {
            if (key is not null)
            {
                key = null;
                return JwtFailure.UnknownKey;
            }
            key = candidate;
        }
        return key is null ? JwtFailure.AlgorithmNotAllowed : JwtFailure.None;
    }
}
