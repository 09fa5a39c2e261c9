using System.Text;
using Lockstep.Client;
using Microsoft.Extensions.Logging;

namespace Lockstep.Http;

/// <summary>What webhooks are signed with: the first line of <c>config.webhookSecretFile</c>, read again for each delivery, so that it can be replaced while the server runs.</summary>
internal sealed partial class WebhookSecret
{
    private const int MaxBytes = 4096;

    private readonly string _path;
    private readonly ILogger _log;
    private volatile string _last;
    private volatile bool _failing;

    private WebhookSecret(string path, string first, ILogger log) => (_path, _last, _log) = (path, first, log);

    /// <summary>Null without a file.</summary>
    /// <exception cref="LockstepException">invalid-config when it holds no secret now.</exception>
    public static WebhookSecret? Open(string? path, ILogger log)
    {
        if (path is null) return null;
        return Read(path) is { } first
            ? new WebhookSecret(path, first, log)
            : throw new LockstepException(ErrorCode.InvalidConfig,
                $"config.webhookSecretFile: {path} {(File.Exists(path) ? "can't be read, or its first line is empty or too long" : "does not exist")}; it holds the secret that the webhook is set up with");
    }

    /// <summary>The secret as it is now; while the file can't be read, or is empty because it is being written, the one before.</summary>
    public string Current()
    {
        if (Read(_path) is { } secret)
        {
            _failing = false;
            return _last = secret;
        }
        if (!_failing) LogKept(_path);
        _failing = true;
        return _last;
    }

    private static string? Read(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            var bytes = new byte[MaxBytes];
            var length = file.ReadAtLeast(bytes, MaxBytes, throwOnEndOfStream: false);
            var line = Encoding.UTF8.GetString(bytes, 0, length).Split('\n', 2)[0].TrimEnd('\r');
            return line.Length == 0 || (length == MaxBytes && line.Length >= MaxBytes / 2) ? null : line;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "config.webhookSecretFile: {Path} can't be read, or its first line is empty; the secret it held before still counts")]
    private partial void LogKept(string path);
}
