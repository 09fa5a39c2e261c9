using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace Lockstep.Secrets;

/// <summary>One master key: 32 bytes that never leave their pinned buffer but as what is derived of them. Cleared with <see cref="Dispose"/>, after which it does nothing any more:
/// each use ends in <see cref="ObjectDisposedException"/>, also one that was under way.</summary>
internal sealed class RootKey : IDisposable
{
    public const int Length = 32;

    /// <summary>The length of its base64 text.</summary>
    public const int TextLength = 44;

    private readonly byte[] _key = GC.AllocateUninitializedArray<byte>(Length, pinned: true);
    private readonly byte[] _wrapKey = GC.AllocateUninitializedArray<byte>(Length, pinned: true);
    private volatile bool _cleared;

    private RootKey(ReadOnlySpan<byte> key)
    {
        key.CopyTo(_key);
        DeriveTo("wrap", _wrapKey);
        Check = Derive("check");
    }

    /// <summary>By this value, which tells nothing else, a key is known again.</summary>
    public byte[] Check { get; }

    public static RootKey New()
    {
        Span<byte> key = stackalloc byte[Length];
        RandomNumberGenerator.Fill(key);
        return Take(key);
    }

    /// <summary>32 bytes from base64 text with nothing but white space around it; null when it is anything else.</summary>
    public static RootKey? Parse(ReadOnlySpan<byte> text)
    {
        text = text.Trim(" \t\r\n"u8);
        Span<byte> key = stackalloc byte[Length + 1];
        if (text.Length == TextLength && Base64.DecodeFromUtf8(text, key, out _, out var count) == OperationStatus.Done && count == Length) return Take(key[..Length]);
        CryptographicOperations.ZeroMemory(key);
        return null;
    }

    public RootKey Copy()
    {
        var copy = new RootKey(_key);
        RequireUncleared();
        return copy;
    }

    /// <summary>Writes the key as base64 text, which the caller clears.</summary>
    public void Export(Span<byte> text)
    {
        Base64.EncodeToUtf8(_key, text, out _, out _);
        RequireUncleared();
    }

    public bool Is(byte[] check) => CryptographicOperations.FixedTimeEquals(check, Check);

    /// <summary>The key for one purpose (HKDF-SHA256); the caller clears it when it is done.</summary>
    public byte[] Derive(string purpose)
    {
        var key = new byte[Length];
        DeriveTo(purpose, key);
        RequireUncleared();
        return key;
    }

    public byte[] Wrap(ReadOnlySpan<byte> dataKey, ReadOnlySpan<byte> associatedData)
    {
        var wrapped = Envelope.Seal(_wrapKey, dataKey, associatedData);
        RequireUncleared();
        return wrapped;
    }

    /// <exception cref="CryptographicException">Not what was wrapped with this associated data.</exception>
    public byte[] Unwrap(ReadOnlySpan<byte> wrapped, ReadOnlySpan<byte> associatedData)
    {
        try
        {
            return Envelope.Open(_wrapKey, wrapped, associatedData);
        }
        finally
        {
            RequireUncleared();
        }
    }

    public void Dispose()
    {
        _cleared = true;
        Interlocked.MemoryBarrier();
        CryptographicOperations.ZeroMemory(_key);
        CryptographicOperations.ZeroMemory(_wrapKey);
    }

    // Asked when the cipher has run: under a cleared key nothing opens, and what is sealed opens for everybody.
    private void RequireUncleared()
    {
        Interlocked.MemoryBarrier();
        ObjectDisposedException.ThrowIf(_cleared, this);
    }

    private static RootKey Take(Span<byte> key)
    {
        var made = new RootKey(key);
        CryptographicOperations.ZeroMemory(key);
        return made;
    }

    private void DeriveTo(string purpose, Span<byte> key) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, _key, key, salt: [], info: Encoding.UTF8.GetBytes("lockstep/1/" + purpose));
}
