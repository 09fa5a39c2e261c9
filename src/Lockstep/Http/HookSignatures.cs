using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;

namespace Lockstep.Http;

internal enum HookVerdict { Signed, Unsigned, Wrong }

/// <summary>
/// The signatures of a webhook's delivery, as GitHub, Gitea, Forgejo, Gogs, Bitbucket and GitLab write them. Every one that is there must be right. The body is
/// hashed as it arrives; nothing of it is kept.
/// </summary>
internal sealed class HookSignatures : IDisposable
{
    private const string StandardSecret = "whsec_";

    private static readonly string[] s_plain = ["X-Gitea-Signature", "X-Forgejo-Signature", "X-Gogs-Signature"];

    private readonly List<byte[]> _sha256 = [];
    private readonly List<byte[]> _sha1 = [];
    private readonly byte[] _key;
    private readonly IncrementalHash _bodySha256;
    private readonly IncrementalHash _bodySha1;
    private IncrementalHash? _standard;
    private string[] _standardClaims = [];
    private byte[]? _token;
    private bool _malformed;

    /// <summary>Reads what the headers claim.</summary>
    public HookSignatures(IHeaderDictionary headers, string secret)
    {
        _key = Encoding.UTF8.GetBytes(secret);
        _bodySha256 = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, _key);
        _bodySha1 = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA1, _key);
        // GitHub; also of Gitea and Forgejo, beside their own.
        if (Single(headers, "X-Hub-Signature-256") is { } hub256) Claim(_sha256, hub256, "sha256=");
        // Bitbucket's, and the older form of GitHub's and Gitea's.
        if (Single(headers, "X-Hub-Signature") is { } hub)
        {
            if (hub.StartsWith("sha1=", StringComparison.Ordinal)) Claim(_sha1, hub, "sha1=");
            else Claim(_sha256, hub, "sha256=");
        }
        foreach (var name in s_plain)
            if (Single(headers, name) is { } signature) Claim(_sha256, signature, "");
        // GitLab's secret token is not a signature but the secret itself.
        if (Single(headers, "X-Gitlab-Token") is { } token) _token = Encoding.UTF8.GetBytes(token);
        if (Single(headers, "webhook-signature") is { } standard) ClaimStandard(headers, secret, standard);
    }

    /// <summary>Whether any header may claim that this delivery is genuine.</summary>
    public static bool AreIn(IHeaderDictionary headers)
    {
        foreach (var name in (ReadOnlySpan<string>)["X-Hub-Signature-256", "X-Hub-Signature", .. s_plain, "X-Gitlab-Token", "webhook-signature"])
            if (headers.ContainsKey(name)) return true;
        return false;
    }

    /// <summary>Whether nothing claims that this delivery is genuine. SHA-1 alone does not count.</summary>
    public bool IsUnsigned => !_malformed && _sha256.Count == 0 && _token is null && _standard is null;

    /// <summary>Reads the body to its end and says whether all that is claimed is true.</summary>
    public async Task<HookVerdict> CheckAsync(PipeReader body, CancellationToken cancellationToken)
    {
        if (IsUnsigned) return HookVerdict.Unsigned;
        while (true)
        {
            var read = await body.ReadAsync(cancellationToken);
            foreach (var part in read.Buffer)
            {
                _bodySha256.AppendData(part.Span);
                _bodySha1.AppendData(part.Span);
                _standard?.AppendData(part.Span);
            }
            body.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted) break;
        }
        return IsRight() ? HookVerdict.Signed : HookVerdict.Wrong;
    }

    public void Dispose()
    {
        _bodySha256.Dispose();
        _bodySha1.Dispose();
        _standard?.Dispose();
    }

    // All are compared, in constant time each: the answer does not tell which one was wrong.
    private bool IsRight()
    {
        var right = !_malformed;
        var (sha256, sha1) = (_bodySha256.GetCurrentHash(), _bodySha1.GetCurrentHash());
        foreach (var claimed in _sha256) right &= CryptographicOperations.FixedTimeEquals(claimed, sha256);
        foreach (var claimed in _sha1) right &= CryptographicOperations.FixedTimeEquals(claimed, sha1);
        // Of their MACs, so that the time does not tell the secret's length either.
        if (_token is not null) right &= CryptographicOperations.FixedTimeEquals(HMACSHA256.HashData(_key, _token), HMACSHA256.HashData(_key, _key));
        if (_standard is not null) right &= IsStandardRight(_standard.GetCurrentHash());
        return right;
    }

    private bool IsStandardRight(byte[] expected)
    {
        var right = false;
        Span<byte> claimed = stackalloc byte[HMACSHA256.HashSizeInBytes];
        foreach (var claim in _standardClaims)
            right |= Convert.TryFromBase64String(claim, claimed, out var length) & CryptographicOperations.FixedTimeEquals(claimed[..length], expected);
        return right;
    }

    private void Claim(List<byte[]> claims, string value, string prefix)
    {
        var hex = value.AsSpan(value.StartsWith(prefix, StringComparison.Ordinal) ? prefix.Length : value.Length);
        var bytes = new byte[claims == _sha1 ? HMACSHA1.HashSizeInBytes : HMACSHA256.HashSizeInBytes];
        if (hex.Length == bytes.Length * 2 && Convert.FromHexString(hex, bytes, out _, out _) == OperationStatus.Done) claims.Add(bytes);
        else _malformed = true;
    }

    // GitLab's signing token, as the Standard Webhooks specification has it: the key is the base64 after whsec_, and id and time are signed with the body.
    private void ClaimStandard(IHeaderDictionary headers, string secret, string signatures)
    {
        var key = new byte[secret.Length];
        if (!secret.StartsWith(StandardSecret, StringComparison.Ordinal) || !Convert.TryFromBase64String(secret[StandardSecret.Length..], key, out var length)
            || Single(headers, "webhook-id") is not { } id || Single(headers, "webhook-timestamp") is not { } timestamp)
        {
            _malformed = true;
            return;
        }
        _standardClaims = [.. signatures.Split(' ', StringSplitOptions.RemoveEmptyEntries).Where(s => s.StartsWith("v1,", StringComparison.Ordinal)).Select(s => s[3..])];
        _standard = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key.AsSpan(0, length));
        _standard.AppendData(Encoding.UTF8.GetBytes($"{id}.{timestamp}."));
    }

    private string? Single(IHeaderDictionary headers, string name)
    {
        if (!headers.TryGetValue(name, out var values) || values.Count == 0) return null;
        if (values.Count == 1) return values[0] ?? "";
        _malformed = true;
        return null;
    }
}
