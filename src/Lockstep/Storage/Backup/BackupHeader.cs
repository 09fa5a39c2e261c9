using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using Lockstep.Client;

namespace Lockstep.Storage.Backup;

/// <summary>
/// The readable head of a backup: which file format and which format of the tables, of which database at which release, under which master key.
/// Every chunk after it is bound to it.
/// </summary>
internal sealed record BackupHeader
{
    /// <summary>The file format this program writes.</summary>
    public const int CurrentFormat = 1;

    private const int MaxLength = 16 * 1024;

    public int Format { get; init; } = CurrentFormat;

    /// <summary>The format of the tables: the newest migration.</summary>
    public required int Tables { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required long Release { get; init; }

    public required string Epoch { get; init; }

    /// <summary>The database's own name.</summary>
    public required string DatabaseId { get; init; }

    /// <summary>By what the master key is known; it tells nothing else.</summary>
    public required byte[] KeyCheck { get; init; }

    /// <summary>The master key as a Vault encrypted it; null when none did.</summary>
    public string? SealedKey { get; init; }

    /// <summary>Makes this file's key one of its own.</summary>
    public required byte[] Salt { get; init; }

    private static ReadOnlySpan<byte> Magic => "lockstep backup\n"u8;

    /// <summary>Writes it; what chunks are bound to.</summary>
    public byte[] WriteTo(Stream file)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WriteNumber("format", Format);
            writer.WriteNumber("tables", Tables);
            writer.WriteString("createdAt", CreatedAt.UtcDateTime.ToString("O", CultureInfo.InvariantCulture));
            writer.WriteNumber("release", Release);
            writer.WriteString("epoch", Epoch);
            writer.WriteString("databaseId", DatabaseId);
            writer.WriteString("keyCheck", Convert.ToHexStringLower(KeyCheck));
            writer.WriteString("sealedKey", SealedKey);
            writer.WriteString("salt", Convert.ToHexStringLower(Salt));
            writer.WriteEndObject();
        }
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(length, json.WrittenCount);
        file.Write(Magic);
        file.Write(length);
        file.Write(json.WrittenSpan);
        return SHA256.HashData(json.WrittenSpan);
    }

    /// <summary>Reads it, and what chunks are bound to.</summary>
    /// <exception cref="LockstepException">invalid-config when it is no backup or damaged, conflict when a newer program made it.</exception>
    public static (BackupHeader Header, byte[] Binding) ReadFrom(Stream file)
    {
        var magic = new byte[Magic.Length + 4];
        if (file.ReadAtLeast(magic, magic.Length, throwOnEndOfStream: false) < magic.Length || !magic.AsSpan().StartsWith(Magic)) throw Damaged("it is not a backup made by lockstep backup");
        var length = BinaryPrimitives.ReadInt32BigEndian(magic.AsSpan(Magic.Length));
        if (length is < 2 or > MaxLength) throw Damaged("its head is damaged");
        var json = new byte[length];
        if (file.ReadAtLeast(json, length, throwOnEndOfStream: false) < length) throw Damaged("it ends in the middle of its head: it was cut off");
        return (Parse(json), SHA256.HashData(json));
    }

    /// <summary>The key of the file, which the caller clears.</summary>
    public byte[] FileKey(byte[] backupKey) => HKDF.DeriveKey(HashAlgorithmName.SHA256, backupKey, 32, Salt, "lockstep/backup/1"u8.ToArray());

    public static LockstepException Damaged(string why) => new(ErrorCode.InvalidConfig, $"the backup can't be used: {why}; nothing was restored");

    private static BackupHeader Parse(byte[] bytes)
    {
        try
        {
            using var json = JsonDocument.Parse(bytes);
            var root = json.RootElement;
            var format = root.GetProperty("format").GetInt32();
            if (format > CurrentFormat)
                throw new LockstepException(ErrorCode.Conflict, string.Create(CultureInfo.InvariantCulture, $"the backup has format {format}; this program knows formats up to {CurrentFormat}. Restore it with the program that made it, or a newer one"));
            return new BackupHeader
            {
                Format = format,
                Tables = root.GetProperty("tables").GetInt32(),
                CreatedAt = root.GetProperty("createdAt").GetDateTimeOffset(),
                Release = root.GetProperty("release").GetInt64(),
                Epoch = root.GetProperty("epoch").GetString()!,
                DatabaseId = root.GetProperty("databaseId").GetString()!,
                KeyCheck = Bytes(root, "keyCheck"),
                SealedKey = root.GetProperty("sealedKey").GetString(),
                Salt = Bytes(root, "salt"),
            };
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw Damaged("its head is damaged");
        }
    }

    private static byte[] Bytes(JsonElement root, string name) =>
        Convert.FromHexString(root.GetProperty(name).GetString() ?? "") is { Length: 32 } bytes ? bytes : throw new FormatException();
}
