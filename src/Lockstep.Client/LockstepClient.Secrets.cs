using System.Security.Cryptography;
using System.Text.Json;

namespace Lockstep.Client;

public sealed partial class LockstepClient
{
    /// <summary>What is known of a secret; its value is null.</summary>
    public Task<SecretMetadata> GetSecretAsync(string id, int? version = null, CancellationToken cancellationToken = default) =>
        GetAsync(Secret("v1/secrets", id).Query("version", version), LockstepJson.Tolerant.SecretMetadata, cancellationToken);

    /// <summary>
    /// The value of a secret, the active version by default. It crosses the network sealed to a key made for this call alone
    /// (RFC 7516 compact JWE, ECDH-ES with A256GCM) and is opened here.
    /// </summary>
    /// <exception cref="LockstepException">forbidden when the caller may see the metadata only.</exception>
    public async Task<SecretPlaintext> RevealSecretAsync(string id, int? version = null, CancellationToken cancellationToken = default)
    {
        using var key = ECDiffieHellman.Create(ECCurve.NamedCurves.nistP256);
        using var request = Request(HttpMethod.Get, Secret("v1/secrets", id).Query("version", version).ToString());
        request.Headers.TryAddWithoutValidation("Lockstep-Seal-To", Jwe.ExportPublicKey(key));
        await AuthoriseAsync(request, cancellationToken);
        using var response = await ExchangeAsync(request, cancellationToken);
        var metadata = await ReadAsync(response, LockstepJson.Tolerant.SecretMetadata, cancellationToken);
        if (metadata.Value is null)
            throw new LockstepException(ErrorCode.Forbidden, $"the value of {id} is not shown to this token: that takes the permission secret:reveal");
        return Open(id, metadata.Value, key);
    }

    /// <summary>The secrets the caller may read, by id; <paramref name="filter"/> is a regular expression on the id.</summary>
    public Task<Page<SecretMetadata>> ListSecretsAsync(string? filter = null, string? prefix = null, string? after = null, int? limit = null,
        CancellationToken cancellationToken = default) =>
        GetAsync(new Route("v1/secrets").Query("filter", filter).Query("prefix", prefix).Query("limit", limit).Query("after", after),
            LockstepJson.Tolerant.SecretPage, cancellationToken);

    /// <summary>The versions of a secret, newest first.</summary>
    public Task<Page<SecretVersion>> ListSecretVersionsAsync(string id, CancellationToken cancellationToken = default) =>
        GetAsync(Secret("v1/secret-versions", id), LockstepJson.Tolerant.SecretVersionPage, cancellationToken);

    /// <summary>Creates a secret; already-exists when there is one.</summary>
    public Task<SecretWritten> CreateSecretAsync(string id, JsonElement value, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, new Route("v1/secrets"), Body(new SecretCreate { Id = id, Value = value }, LockstepJson.Default.SecretCreate),
            LockstepJson.Tolerant.SecretWritten, cancellationToken);

    /// <summary>
    /// Writes a new version and makes it the active one, unless <paramref name="activate"/> is false: then it waits, staged. <paramref name="force"/>: even
    /// where a document breaks by it.
    /// </summary>
    public Task<SecretWritten> PutSecretAsync(
        string id, SecretPut secret, bool activate = true, bool force = false, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Put, Secret("v1/secrets", id).Query("activate", activate ? null : "false").Query("force", force), Body(secret, LockstepJson.Default.SecretPut),
            LockstepJson.Tolerant.SecretWritten, cancellationToken);

    /// <summary>Makes a version the active one. <paramref name="force"/>: even where a document breaks by it.</summary>
    public Task<SecretWritten> ActivateSecretAsync(string id, int version, bool force = false, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, Secret("v1/secret-activations", id).Query("force", force),
            Body(new ActivateRequest { Version = version }, LockstepJson.Default.ActivateRequest), LockstepJson.Tolerant.SecretWritten, cancellationToken);

    /// <summary>Deletes a secret; it can be restored, unless <paramref name="purge"/> destroys it for good.</summary>
    public async Task DeleteSecretAsync(string id, bool purge = false, bool force = false, CancellationToken cancellationToken = default) =>
        (await SendAsync(HttpMethod.Delete, Secret("v1/secrets", id).Query("purge", purge).Query("force", force), null, cancellationToken)).Dispose();

    /// <summary>Takes a deletion back.</summary>
    public Task<SecretWritten> RestoreSecretAsync(string id, CancellationToken cancellationToken = default) =>
        CallAsync(HttpMethod.Post, Secret("v1/secret-restores", id), null, LockstepJson.Tolerant.SecretWritten, cancellationToken);

    private static Route Secret(string root, string id) => new Route(root).Path("a part of the secret's id", id);

    private SecretPlaintext Open(string id, string sealedValue, ECDiffieHellman key)
    {
        byte[]? plaintext = null;
        try
        {
            plaintext = Jwe.Open(key, sealedValue);
            var opened = JsonSerializer.Deserialize(plaintext, LockstepJson.Tolerant.SecretPlaintext);
            // A value of another secret in its place would be a mix-up of the server, or somebody in between.
            if (opened?.Id == id) return opened;
        }
        catch (Exception e) when (e is LockstepException or CryptographicException or JsonException)
        {
            // The text of these may quote what they read: it stays here.
        }
        finally
        {
            if (plaintext is not null) CryptographicOperations.ZeroMemory(plaintext);
        }
        throw new LockstepException(ErrorCode.Unavailable, $"the sealed value of {id} that {Address} sent does not open: is something changing answers in between?");
    }
}
