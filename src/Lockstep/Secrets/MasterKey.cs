using System.Security.Cryptography;
using System.Text;
using Lockstep.Client;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Secrets;

/// <summary>
/// The key that all others hang on. It never leaves its pinned buffer but through <see cref="Derive"/>: each purpose has a key of its own.
/// The database keeps a check value, so that a wrong key is found at the start and not at the first secret.
/// </summary>
internal sealed class MasterKey : IDisposable
{
    private const int Length = 32;
    private const string CheckRow = "master-key-check";

    private readonly byte[] _key = GC.AllocateUninitializedArray<byte>(Length, pinned: true);
    private readonly byte[] _wrapKey = GC.AllocateUninitializedArray<byte>(Length, pinned: true);

    private MasterKey(ReadOnlySpan<byte> key)
    {
        key.CopyTo(_key);
        DeriveTo("wrap", _wrapKey);
    }

    /// <summary>
    /// Reads the key and compares it with the database's check value. Where neither file nor check value exists, this is the first start: the key
    /// is made. A key from a variable is taken out of the environment, so that no child process inherits it.
    /// </summary>
    /// <exception cref="LockstepException">conflict when the key is missing, malformed, readable by others, or not this database's.</exception>
    public static async Task<MasterKey> OpenAsync(MasterKeyOptions options, string dataDirectory, Database database, CancellationToken cancellationToken)
    {
        var path = Path.GetFullPath(options.File ?? Path.Combine(dataDirectory, "master.key"));
        var source = options.Env is { } name ? $"the environment variable {name}" : path;
        var check = await database.ReadAsync(s => Meta.GetData(s, CheckRow), cancellationToken);
        if (options.Env is null && check is null && !File.Exists(path)) MasterKeyFile.Create(path);
        var key = new MasterKey(options.Env is { } variable ? FromEnvironment(variable) : MasterKeyFile.Read(path));
        try
        {
            var mine = key.Derive("check");
            // Read again inside the write: the first of two that start wins.
            check ??= await database.WriteAsync(s =>
            {
                if (Meta.GetData(s, CheckRow) is { } earlier) return earlier;
                Meta.SetData(s, CheckRow, mine);
                return mine;
            }, cancellationToken);
            if (CryptographicOperations.FixedTimeEquals(check, mine)) return key;
            throw new LockstepException(ErrorCode.Conflict,
                $"the master key from {source} is not the one this database was made with. Put the right key there, or point the setting masterKey at it; nothing is lost, and nothing was changed");
        }
        catch
        {
            key.Dispose();
            throw;
        }
    }

    /// <summary>The key for one purpose (HKDF-SHA256); the caller clears it when it is done.</summary>
    public byte[] Derive(string purpose)
    {
        var key = new byte[Length];
        DeriveTo(purpose, key);
        return key;
    }

    /// <summary>Encrypts a data key; the associated data says what it is for.</summary>
    public byte[] Wrap(ReadOnlySpan<byte> dataKey, ReadOnlySpan<byte> associatedData) => Envelope.Seal(_wrapKey, dataKey, associatedData);

    /// <exception cref="CryptographicException">Not what was wrapped with this associated data.</exception>
    public byte[] Unwrap(ReadOnlySpan<byte> wrapped, ReadOnlySpan<byte> associatedData) => Envelope.Open(_wrapKey, wrapped, associatedData);

    public void Dispose()
    {
        CryptographicOperations.ZeroMemory(_key);
        CryptographicOperations.ZeroMemory(_wrapKey);
    }

    /// <summary>32 bytes from base64 text with nothing but white space around it; null when it is anything else.</summary>
    internal static byte[]? Decode(ReadOnlySpan<char> text)
    {
        var key = new byte[Length];
        text = text.Trim();
        return text.Length == 44 && Convert.TryFromBase64Chars(text, key, out var count) && count == Length ? key : null;
    }

    private static byte[] FromEnvironment(string name)
    {
        var text = Environment.GetEnvironmentVariable(name);
        if (string.IsNullOrEmpty(text)) throw new LockstepException(ErrorCode.Conflict, $"the environment variable {name}, which masterKey.env names, is not set. Set it to the master key: 32 bytes in base64");
        var key = Decode(text) ?? throw new LockstepException(ErrorCode.Conflict, $"the environment variable {name} is not a master key: it must be 32 bytes in base64 (openssl rand -base64 32)");
        Environment.SetEnvironmentVariable(name, null);
        return key;
    }

    private void DeriveTo(string purpose, Span<byte> key) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, _key, key, salt: [], info: Encoding.UTF8.GetBytes("lockstep/1/" + purpose));
}
