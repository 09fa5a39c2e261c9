using System.Buffers;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using Lockstep.Client;
using Lockstep.Settings;

namespace Lockstep.Secrets;

/// <summary>
/// The two calls of a Vault's Transit engine that a master key needs. Bounded in time and in size; tried again while the Vault is sealed, busy or not
/// reachable; never redirected. No message holds a token or a key.
/// </summary>
internal sealed class VaultTransit : IDisposable
{
    private const int MaxAnswer = 64 * 1024;
    private const int MaxLogin = 8 * 1024;
    private const int MaxCiphertext = 1024;
    private const int Attempts = 5;
    private static readonly TimeSpan s_attempt = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_total = TimeSpan.FromSeconds(20);

    private readonly VaultTransitOptions _options;
    private readonly TimeProvider _time;
    private readonly HttpClient _http;

    public VaultTransit(VaultTransitOptions options, TimeProvider time)
    {
        (_options, _time) = (options, time);
        _http = new HttpClient(Handler(options)) { Timeout = Timeout.InfiniteTimeSpan };
    }

    public string Name => $"the Transit key {_options.Mount}/{_options.Key} at {_options.Address.GetLeftPart(UriPartial.Authority)}";

    /// <summary>The key as the Vault encrypted it.</summary>
    public async Task<string> EncryptAsync(RootKey key, byte[] binding, CancellationToken cancellationToken)
    {
        var answer = await CallAsync($"{_options.Mount}/encrypt/{_options.Key}", () => Request("plaintext", key, binding), cancellationToken);
        using (answer)
        {
            if (answer.Refusal is { } refusal) throw Refused("does not encrypt", answer.Status, refusal);
            Span<byte> text = stackalloc byte[MaxCiphertext];
            var length = answer.Field("data"u8, "ciphertext"u8, text);
            var ciphertext = length < 0 ? "" : Encoding.ASCII.GetString(text[..length]);
            return IsCiphertext(ciphertext) ? ciphertext : throw NotUnderstood();
        }
    }

    /// <summary>The key that was encrypted; without one, what the Vault said against it: the text is another key's, or the key is gone.</summary>
    public async Task<(RootKey? Key, string? Refused)> DecryptAsync(string ciphertext, byte[] binding, CancellationToken cancellationToken)
    {
        // It comes from a database or the head of a backup, and goes into a request as it is.
        if (!IsCiphertext(ciphertext)) return (null, "what is kept is no ciphertext of a Vault's");
        var (key, refused) = await DecryptOnceAsync(ciphertext, binding, cancellationToken);
        // An engine that did not know associated data left it out, and has learned it since.
        return refused is not null && await DecryptOnceAsync(ciphertext, null, cancellationToken) is { Key: { } unbound } ? (unbound, null) : (key, refused);
    }

    public void Dispose() => _http.Dispose();

    private static bool IsCiphertext(string text) => text.Length is >= 10 and <= MaxCiphertext && text.StartsWith("vault:v", StringComparison.Ordinal)
        && !text.AsSpan().ContainsAnyExceptInRange('!', '~') && !text.AsSpan().ContainsAny('"', '\\');

    private async Task<(RootKey? Key, string? Refused)> DecryptOnceAsync(string ciphertext, byte[]? binding, CancellationToken cancellationToken)
    {
        using var answer = await CallAsync($"{_options.Mount}/decrypt/{_options.Key}", () => Request("ciphertext", Encoding.ASCII.GetBytes(ciphertext), binding), cancellationToken);
        if (answer is { Refusal: { } bad, Status: 400 }) return (null, bad);
        if (answer.Refusal is { } refusal) throw Refused("does not decrypt", answer.Status, refusal);
        return (Decrypted(answer), null);
    }

    private RootKey Decrypted(Answer answer)
    {
        Span<byte> text = stackalloc byte[128];
        var length = answer.Field("data"u8, "plaintext"u8, text);
        var key = length < 0 ? null : RootKey.Parse(text[..length]);
        CryptographicOperations.ZeroMemory(text);
        return key ?? throw NotUnderstood();
    }

    // Retried as a whole, with a new login: the token may be what is wrong.
    private async Task<Answer> CallAsync(string path, Func<byte[]> body, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_total, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        string? last = null;
        for (var attempt = 0; attempt < Attempts; attempt++)
        {
            try
            {
                if (attempt > 0) await Task.Delay(TimeSpan.FromMilliseconds(250 << attempt) * (0.5 + (Random.Shared.NextDouble() / 2)), _time, both.Token);
                var token = await TokenAsync(both.Token);
                var answer = await PostAsync(path, body(), token, both.Token);
                if (answer.Status is not (429 or >= 500)) return answer;
                last = string.Create(CultureInfo.InvariantCulture, $"it answered {answer.Status}: {answer.Refusal}");
                answer.Dispose();
            }
            catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                break;
            }
            catch (Exception e) when (e is HttpRequestException or IOException or TimeoutException)
            {
                last = Describe(e);
            }
        }
        throw new LockstepException(ErrorCode.Unavailable,
            $"{Name} can't be asked for the master key: {last ?? "it did not answer in time"}. Unseal or start the Vault, check masterKey.vaultTransit.address and the network, and start the server again");
    }

    private async Task<string> TokenAsync(CancellationToken cancellationToken)
    {
        if (_options.TokenFile is { } file) return Read(file, "tokenFile");
        var role = _options.AppRole!;
        var body = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(body))
        {
            json.WriteStartObject();
            json.WriteString("role_id", Read(role.RoleIdFile, "appRole.roleIdFile"));
            json.WriteString("secret_id", Read(role.SecretIdFile, "appRole.secretIdFile"));
            json.WriteEndObject();
        }
        using var answer = await PostAsync($"auth/{role.Mount}/login", body.WrittenSpan.ToArray(), null, cancellationToken);
        if (answer.Status is 429 or >= 500) throw new HttpRequestException(string.Create(CultureInfo.InvariantCulture, $"it answered {answer.Status} to the login: {answer.Refusal}"));
        if (answer.Refusal is { } refusal) throw Refused($"refuses the AppRole login at auth/{role.Mount}", answer.Status, refusal);
        Span<byte> text = stackalloc byte[MaxLogin];
        var length = answer.Field("auth"u8, "client_token"u8, text);
        return length > 0 && !text[..length].ContainsAnyExceptInRange((byte)'!', (byte)'~') ? Encoding.ASCII.GetString(text[..length]) : throw NotUnderstood();
    }

    private async Task<Answer> PostAsync(string path, byte[] body, string? token, CancellationToken cancellationToken)
    {
        using var limit = new CancellationTokenSource(s_attempt, _time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, limit.Token);
        try
        {
            var root = _options.Address.AbsoluteUri.TrimEnd('/');
            using var request = new HttpRequestMessage(HttpMethod.Post, $"{root}/v1/{path}") { Content = new ByteArrayContent(body) };
            request.Content.Headers.ContentType = new("application/json");
            request.Headers.TryAddWithoutValidation("X-Vault-Request", "true");
            if (token is not null) request.Headers.TryAddWithoutValidation("X-Vault-Token", token);
            if (_options.Namespace is { } space) request.Headers.TryAddWithoutValidation("X-Vault-Namespace", space);
            using var response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, both.Token);
            var answer = await ReadAsync(response, both.Token);
            answer.Conceal(body, token);
            return answer;
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TimeoutException();
        }
        finally
        {
            CryptographicOperations.ZeroMemory(body);
        }
    }

    private async Task<Answer> ReadAsync(HttpResponseMessage response, CancellationToken cancellationToken)
    {
        var status = (int)response.StatusCode;
        if (status is >= 300 and < 400)
        {
            var to = response.Headers.Location is { IsAbsoluteUri: true } location ? location.GetLeftPart(UriPartial.Authority) : "elsewhere";
            throw new LockstepException(ErrorCode.Conflict, $"{Name} points to {to}: the token is not sent after it. Give that address itself as masterKey.vaultTransit.address");
        }
        var answer = new Answer(status);
        try
        {
            using var stream = await response.Content.ReadAsStreamAsync(cancellationToken);
            await answer.FillAsync(stream, cancellationToken);
            if (answer.IsTooLong || (status is >= 200 and < 300 && !answer.IsJson)) throw NotUnderstood();
            return answer;
        }
        catch
        {
            answer.Dispose();
            throw;
        }
    }

    private static byte[] Request(string field, RootKey key, byte[] binding)
    {
        Span<byte> text = stackalloc byte[RootKey.TextLength];
        key.Export(text);
        var body = Request(field, text, binding);
        CryptographicOperations.ZeroMemory(text);
        return body;
    }

    // Base64 and Vault's own ciphertext need no escape. By hand, because a writer's buffers could not be cleared.
    private static byte[] Request(string field, ReadOnlySpan<byte> value, byte[]? binding)
    {
        var (head, middle) = (Encoding.ASCII.GetBytes($"{{\"{field}\":\""), Encoding.ASCII.GetBytes(binding is null ? "\"}" : $"\",\"associated_data\":\"{Convert.ToBase64String(binding)}\"}}"));
        var body = GC.AllocateUninitializedArray<byte>(head.Length + value.Length + middle.Length, pinned: true);
        head.CopyTo(body, 0);
        value.CopyTo(body.AsSpan(head.Length));
        middle.CopyTo(body, head.Length + value.Length);
        return body;
    }

    private string Read(string file, string setting)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
            Span<byte> buffer = stackalloc byte[MaxLogin];
            var text = Encoding.UTF8.GetString(buffer[..stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false)]).Trim();
            if (text.Length is > 0 and < MaxLogin && !text.AsSpan().ContainsAnyExceptInRange('!', '~')) return text;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new LockstepException(ErrorCode.Conflict, $"the file {file} (masterKey.vaultTransit.auth.{setting}) can't be read: {e.Message}", e);
        }
        throw new LockstepException(ErrorCode.Conflict, $"the file {file} (masterKey.vaultTransit.auth.{setting}) is empty or holds characters that no such thing has");
    }

    private LockstepException Refused(string what, int status, string refusal) => new(ErrorCode.Conflict, string.Create(CultureInfo.InvariantCulture,
        $"{Name} {what} ({status}: {refusal}). ") + (status == 403
            ? $"Its token must be valid and its policy allow update on {_options.Mount}/encrypt/{_options.Key} and {_options.Mount}/decrypt/{_options.Key}"
            : "Check that the engine is mounted there and the key exists: vault write -f " + $"{_options.Mount}/keys/{_options.Key}"));

    private LockstepException NotUnderstood() => new(ErrorCode.Conflict, $"the answer of {Name} is not a Vault's. Check masterKey.vaultTransit.address");

    private static string Describe(Exception e) => e switch
    {
        TimeoutException => "it did not answer in time",
        HttpRequestException { HttpRequestError: HttpRequestError.NameResolutionError } => "its host is not known",
        HttpRequestException { HttpRequestError: HttpRequestError.SecureConnectionError } => "its certificate is not trusted; name its authority with masterKey.vaultTransit.caFile",
        HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError } => "nothing answers there",
        HttpRequestException { HttpRequestError: HttpRequestError.Unknown } => e.Message,
        _ => "the connection broke",
    };

    private static SocketsHttpHandler Handler(VaultTransitOptions options)
    {
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = !options.Address.IsLoopback, ConnectTimeout = s_attempt };
        if (options.CaFile is not { } file) return handler;
        try
        {
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.ImportFromPemFile(file);
            if (policy.CustomTrustStore.Count == 0) throw new CryptographicException("there is no certificate in it");
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
            return handler;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            handler.Dispose();
            throw new LockstepException(ErrorCode.Conflict, $"the file {file} (masterKey.vaultTransit.caFile) can't be used: {e.Message}", e);
        }
    }

    /// <summary>An answer in a buffer of its own that is cleared: it may hold the key.</summary>
    private sealed class Answer(int status) : IDisposable
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(MaxAnswer + 1, pinned: true);
        private int _length;
        private bool _concealed;

        public int Status => status;

        public bool IsTooLong => _length > MaxAnswer;

        public bool IsJson => Walk(default, default, default) != -2;

        /// <summary>What Vault says against it, in its words, bounded; null when it was done.</summary>
        public string? Refusal => status is >= 200 and < 300 ? null : _concealed ? ((HttpStatusCode)status).ToString() : Errors();

        public async Task FillAsync(Stream stream, CancellationToken cancellationToken) =>
            _length = await stream.ReadAtLeastAsync(_bytes, _bytes.Length, throwOnEndOfStream: false, cancellationToken);

        /// <summary>Copies a text two levels down; its length, or -1 when it is not there, no text or too long.</summary>
        public int Field(ReadOnlySpan<byte> section, ReadOnlySpan<byte> field, Span<byte> into) => Math.Max(-1, Walk(section, field, into));

        /// <summary>Keeps the words to itself when they repeat what was sent, of which the key, a token or a login is a part.</summary>
        public void Conceal(ReadOnlySpan<byte> body, string? token)
        {
            if (Refusal is not { } text) return;
            var words = Encoding.UTF8.GetBytes(text);
            _concealed = Repeats(words, body) || (token is not null && Repeats(words, Encoding.ASCII.GetBytes(token)));
        }

        public void Dispose() => CryptographicOperations.ZeroMemory(_bytes);

        // -2: not JSON.
        private int Walk(ReadOnlySpan<byte> section, ReadOnlySpan<byte> field, Span<byte> into)
        {
            var json = new Utf8JsonReader(_bytes.AsSpan(0, _length));
            try
            {
                var (inside, found) = (false, -1);
                if (!json.Read() || json.TokenType != JsonTokenType.StartObject) return -2;
                while (json.Read())
                {
                    if (json.TokenType == JsonTokenType.PropertyName && json.CurrentDepth == 1) inside = json.ValueTextEquals(section);
                    if (json.TokenType != JsonTokenType.PropertyName || json.CurrentDepth != 2 || !inside || !json.ValueTextEquals(field)) continue;
                    json.Read();
                    var length = json.TokenType == JsonTokenType.String ? json.ValueSpan.Length : int.MaxValue;
                    found = length <= into.Length ? json.CopyString(into) : -1;
                }
                return found;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                return -2;
            }
        }

        private static bool Repeats(ReadOnlySpan<byte> words, ReadOnlySpan<byte> sent)
        {
            const int Run = 12;
            for (var i = 0; i + Run <= sent.Length; i++)
                if (words.IndexOf(sent.Slice(i, Run)) >= 0) return true;
            return false;
        }

        private string Errors()
        {
            try
            {
                using var json = JsonDocument.Parse(_bytes.AsMemory(0, Math.Min(_length, MaxAnswer)));
                if (json.RootElement.ValueKind == JsonValueKind.Object && json.RootElement.TryGetProperty("errors", out var errors) && errors.ValueKind == JsonValueKind.Array)
                {
                    var text = string.Join("; ", errors.EnumerateArray().Where(e => e.ValueKind == JsonValueKind.String).Select(e => e.GetString()));
                    text = string.Concat(text.Select(c => char.IsControl(c) ? ' ' : c)).Trim();
                    if (text.Length > 0) return text.Length <= 300 ? text : string.Concat(text.AsSpan(0, 300), "…");
                }
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException)
            {
                // Told by its status alone.
            }
            return ((HttpStatusCode)status).ToString();
        }
    }
}
