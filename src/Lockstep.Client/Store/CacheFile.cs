using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Lockstep.Client;

/// <summary>
/// The cache file. A head (magic with the format version, when a server last confirmed the document in Unix milliseconds, a hash of the document's names, salt, nonce,
/// a check of the key, the length of the rest), then AES-256-GCM of epoch, ETag and document, then the tag; the head is the associated data. The key is HKDF-SHA256 (RFC 5869) of the token with
/// the salt, bound to the names.
/// </summary>
internal static class CacheFile
{
    public const int MaxBytes = 32 * 1024 * 1024;

    private const int NamesAt = 16;
    private const int SaltAt = NamesAt + 32;
    private const int NonceAt = SaltAt + 32;
    private const int CheckAt = NonceAt + 12;
    private const int LengthAt = CheckAt + CheckBytes;
    private const int HeadBytes = LengthAt + 4;
    private const int TagBytes = 16;
    private const int KeyBytes = 32;
    private const int CheckBytes = 16;

    private static readonly TimeSpan s_clockSkew = TimeSpan.FromMinutes(5);

    private static ReadOnlySpan<byte> Magic => "LKSCACH\u0001"u8;

    // A file of another version of the format is a cache file too.
    private static ReadOnlySpan<byte> AnyMagic => Magic[..^1];

    /// <summary>Replaces the file as a whole; others than its owner can neither read nor write it. What is there and is no cache file stays as it is.</summary>
    /// <exception cref="LockstepException">It is too large, there is no token to derive a key from, or something else has its name.</exception>
    public static void Write(string path, string? token, Subscription subscription, CacheContent content, DateTimeOffset confirmed)
    {
        var plaintext = new ArrayBufferWriter<byte>(4096);
        var keys = new byte[KeyBytes + CheckBytes];
        try
        {
            WriteContent(plaintext, content);
            if (HeadBytes + plaintext.WrittenCount + TagBytes > MaxBytes) throw Refused($"the document is larger than {MaxBytes / 1024 / 1024} MiB");
            var file = new byte[HeadBytes + plaintext.WrittenCount + TagBytes];
            var head = file.AsSpan(0, HeadBytes);
            Magic.CopyTo(head);
            BinaryPrimitives.WriteInt64BigEndian(head[Magic.Length..], confirmed.ToUnixTimeMilliseconds());
            SHA256.HashData(Names(subscription), head[NamesAt..SaltAt]);
            RandomNumberGenerator.Fill(head[SaltAt..CheckAt]);
            Derive(token, head[SaltAt..NonceAt], subscription, keys);
            keys.AsSpan(KeyBytes).CopyTo(head[CheckAt..]);
            BinaryPrimitives.WriteInt32BigEndian(head[LengthAt..], plaintext.WrittenCount);
            using var aes = new AesGcm(keys.AsSpan(0, KeyBytes), TagBytes);
            aes.Encrypt(head[NonceAt..CheckAt], plaintext.WrittenSpan, file.AsSpan(HeadBytes, plaintext.WrittenCount), file.AsSpan(HeadBytes + plaintext.WrittenCount), head);
            // For what it throws.
            ReadHead(path);
            Replace(path, file);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(keys);
            plaintext.Clear();
        }
    }

    /// <summary>Deletes the file if one of the tokens opens it; that of another token or another document is somebody else's.</summary>
    /// <exception cref="LockstepException">Something else has its name, or it can't be read.</exception>
    public static void Delete(string path, Subscription subscription, params IEnumerable<string?> tokens)
    {
        if (ReadHead(path) is { Length: HeadBytes } head && tokens.Any(t => t is not null && Opens(head, t, subscription))) File.Delete(path);
    }

    private static bool Opens(ReadOnlySpan<byte> head, string token, Subscription subscription)
    {
        var keys = new byte[KeyBytes + CheckBytes];
        try
        {
            Derive(token, head[SaltAt..NonceAt], subscription, keys);
            return CryptographicOperations.FixedTimeEquals(keys.AsSpan(KeyBytes), head[CheckAt..LengthAt]);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(keys);
        }
    }

    /// <summary>What the file holds.</summary>
    /// <exception cref="LockstepException">It must not be used; the text says why.</exception>
    public static CacheContent Read(string path, string? token, Subscription subscription, TimeSpan maxAge, DateTimeOffset now)
    {
        var file = ReadAll(path);
        if (file.Length < HeadBytes + TagBytes || !file.AsSpan(0, Magic.Length).SequenceEqual(Magic))
            throw Refused($"{path} is torn, or no cache file of this version");
        var head = file.AsSpan(0, HeadBytes);
        var length = BinaryPrimitives.ReadInt32BigEndian(head[LengthAt..]);
        if (length != file.Length - HeadBytes - TagBytes) throw Refused($"{path} is torn: it is not as long as it says");
        if (!head[NamesAt..SaltAt].SequenceEqual(SHA256.HashData(Names(subscription)))) throw Refused($"{path} holds another document than {subscription.Service}/{subscription.Environment}");
        var keys = new byte[KeyBytes + CheckBytes];
        var plaintext = new byte[length];
        try
        {
            Derive(token, head[SaltAt..NonceAt], subscription, keys);
            if (!CryptographicOperations.FixedTimeEquals(keys.AsSpan(KeyBytes), head[CheckAt..LengthAt])) throw Refused($"{path} was written under another token");
            using var aes = new AesGcm(keys.AsSpan(0, KeyBytes), TagBytes);
            aes.Decrypt(head[NonceAt..CheckAt], file.AsSpan(HeadBytes, length), file.AsSpan(HeadBytes + length), plaintext, head);
            // Only now is the head known to be genuine.
            var confirmed = CheckAge(path, BinaryPrimitives.ReadInt64BigEndian(head[Magic.Length..]), maxAge, now);
            return ReadContent(plaintext) with { Confirmed = confirmed };
        }
        catch (Exception e) when (e is CryptographicException or JsonException)
        {
            throw Refused($"{path} is damaged");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(keys);
            CryptographicOperations.ZeroMemory(plaintext);
        }
    }

    private static DateTimeOffset CheckAge(string path, long confirmedMs, TimeSpan maxAge, DateTimeOffset now)
    {
        var age = now - DateTimeOffset.UnixEpoch - TimeSpan.FromMilliseconds(confirmedMs);
        if (age < -s_clockSkew) throw Refused($"{path} is from the future: is the clock right?");
        if (age > maxAge) throw Refused(FormattableString.Invariant($"{path} was last confirmed by a server {age.TotalHours:0.#} hours ago, which is longer than the {maxAge.TotalHours:0.#} that are allowed"));
        return DateTimeOffset.FromUnixTimeMilliseconds(confirmedMs);
    }

    private static byte[] ReadAll(string path)
    {
        try
        {
            using var file = Open(path);
            if (FileGuard.Refusal(file) is { } refusal) throw Refused($"{path} {refusal}");
            var length = RandomAccess.GetLength(file);
            if (length > MaxBytes) throw Refused($"{path} is larger than {MaxBytes / 1024 / 1024} MiB");
            return ReadStart(path, file, (int)length);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Refused($"there is no {path} yet");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused($"{path} can't be read: {e.Message}");
        }
    }

    /// <summary>As much of a cache file's head as is there; null: there is no file.</summary>
    /// <exception cref="LockstepException">It is no cache file, or can't be read.</exception>
    private static byte[]? ReadHead(string path)
    {
        try
        {
            using var file = Open(path);
            var head = ReadStart(path, file, (int)Math.Min(RandomAccess.GetLength(file), HeadBytes));
            return head.AsSpan().StartsWith(AnyMagic) ? head : throw Refused($"{path} is no cache file: it is left as it is, name another one");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused($"{path} is left as it is, as it can't be read: {e.Message}");
        }
    }

    private static byte[] ReadStart(string path, SafeFileHandle file, int length)
    {
        var bytes = new byte[length];
        for (var at = 0; at < bytes.Length;)
        {
            var read = RandomAccess.Read(file, bytes.AsSpan(at), at);
            if (read == 0) throw Refused($"{path} is torn: it became shorter while it was read");
            at += read;
        }
        return bytes;
    }

    private static SafeFileHandle Open(string path) =>
        FileGuard.RefusalToOpen(path) is { } refusal ? throw Refused($"{path} {refusal}") : File.OpenHandle(path);

    // A reader sees the old file or the new one, and so does one after a crash.
    private static void Replace(string path, ReadOnlySpan<byte> bytes)
    {
        var temporary = $"{path}.{RandomNumberGenerator.GetHexString(12, lowercase: true)}.tmp";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            using (var file = new FileStream(temporary, options))
            {
                file.Write(bytes);
                file.Flush(flushToDisk: true);
            }
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    private static byte[] Names(Subscription subscription) =>
        JsonSerializer.SerializeToUtf8Bytes(
            new ClientFrame { Op = "lockstep-cache-1", Service = subscription.Service, Environment = subscription.Environment, Label = subscription.Label },
            WatchJson.Default.ClientFrame);

    // The key, and 16 bytes that tell whether it is the right one and nothing else about it.
    private static void Derive(string? token, ReadOnlySpan<byte> salt, Subscription subscription, Span<byte> keys)
    {
        if (token is null) throw Refused("without a token there is no key for it");
        var secret = Encoding.UTF8.GetBytes(token);
        try
        {
            HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, keys, salt, Names(subscription));
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }

    private static void WriteContent(ArrayBufferWriter<byte> output, CacheContent content)
    {
        using var writer = new Utf8JsonWriter(output);
        writer.WriteStartObject();
        writer.WriteString("epoch", content.Epoch);
        writer.WriteString("etag", content.Snapshot.ETag);
        writer.WritePropertyName("snapshot");
        JsonSerializer.Serialize(writer, content.Snapshot, LockstepJson.Default.Snapshot);
        writer.WriteEndObject();
    }

    private static CacheContent ReadContent(ReadOnlySpan<byte> plaintext)
    {
        string? epoch = null, etag = null;
        Snapshot? snapshot = null;
        var reader = new Utf8JsonReader(plaintext);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString();
            reader.Read();
            if (name == "epoch") epoch = SnapshotConverter.Text(ref reader);
            else if (name == "etag") etag = SnapshotConverter.Text(ref reader);
            else if (name == "snapshot") snapshot = JsonSerializer.Deserialize(ref reader, LockstepJson.Tolerant.Snapshot);
            else reader.Skip();
        }
        return epoch is null || etag is null || snapshot is null ? throw new JsonException("The cache is incomplete.") : new CacheContent(epoch, snapshot with { ETag = etag });
    }

    private static LockstepException Refused(string why) => new(ErrorCode.Unavailable, why);
}
