using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Lockstep.Audit;

/// <summary>An entry's place and MAC with the time, under an HMAC: what a checkpoint and an anchor are, each with a key of its own.</summary>
internal sealed record SignedTail
{
    public required string Node { get; init; }

    public required long Seq { get; init; }

    public required byte[] Mac { get; init; }

    public required DateTimeOffset At { get; init; }

    public required byte[] Signature { get; init; }

    [JsonIgnore]
    public AuditTail Tail => new(Seq, Mac);

    public static SignedTail Sign(byte[] key, string node, AuditTail tail, DateTimeOffset at)
    {
        at = DateTimeOffset.FromUnixTimeMilliseconds(at.ToUnixTimeMilliseconds());
        return new SignedTail { Node = node, Seq = tail.Seq, Mac = tail.Mac, At = at, Signature = Sign(key, node, tail.Seq, tail.Mac, at) };
    }

    public bool IsAuthentic(byte[] key) => CryptographicOperations.FixedTimeEquals(Signature, Sign(key, Node, Seq, Mac, At));

    public byte[] Serialize() => JsonSerializer.SerializeToUtf8Bytes(this, AuditJson.Default.SignedTail);

    /// <summary>Null when it is none.</summary>
    public static SignedTail? Parse(ReadOnlySpan<byte> text)
    {
        try
        {
            // Left out or null it would be as good as wrong.
            return JsonSerializer.Deserialize(text, AuditJson.Default.SignedTail) is { Node: not null, Mac: not null, Signature: not null } tail ? tail : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static byte[] Sign(byte[] key, string node, long seq, byte[] mac, DateTimeOffset at)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        Span<byte> number = stackalloc byte[8];
        var name = Encoding.UTF8.GetBytes(node);
        foreach (var value in (ReadOnlySpan<long>)[name.Length, seq, at.ToUnixTimeMilliseconds(), mac.Length])
        {
            BinaryPrimitives.WriteInt64BigEndian(number, value);
            hmac.AppendData(number);
        }
        hmac.AppendData(name);
        hmac.AppendData(mac);
        return hmac.GetHashAndReset();
    }
}
