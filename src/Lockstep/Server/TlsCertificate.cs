using System.Diagnostics.Metrics;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Lockstep.Client;
using Lockstep.Settings;
using Microsoft.Extensions.Logging;

namespace Lockstep.Server;

/// <summary>
/// The certificate of the https listeners. Its files are looked at every two seconds; when they hold something else that loads whole, new connections get it,
/// and those that are open keep theirs. Two files can't be replaced at one moment: until both fit together the old pair stays in use.
/// </summary>
internal sealed partial class TlsCertificate : IAsyncDisposable
{
    /// <summary>How often the files are looked at.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private const long MaxFile = 1024 * 1024;

    // Instruments live as long as the process; they read whichever server runs now.
    private static volatile TlsCertificate? s_current;

    private readonly TlsOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _stop = new();
    private Loaded _loaded;
    private Task _watching = Task.CompletedTask;
    private byte[]? _failed;
    private string? _failure;

    static TlsCertificate() => Telemetry.Meter.CreateObservableGauge("lockstep.tls.certificate.expiry",
        () => s_current is { } c ? [new Measurement<long>(EndOf(c.Leaf).ToUnixTimeSeconds())] : Array.Empty<Measurement<long>>(), "s",
        "When the certificate in use ends, in Unix time");

    private TlsCertificate(TlsOptions options, Loaded loaded, TimeProvider time, ILogger log) => (_options, _loaded, _time, _log) = (options, loaded, time, log);

    private X509Certificate2 Leaf => Volatile.Read(ref _loaded).Leaf;

    /// <summary>Loads the files, and follows them until it is disposed.</summary>
    /// <exception cref="LockstepException">invalid-config, with the file and what is wrong with it.</exception>
    public static TlsCertificate Open(TlsOptions options, TimeProvider time, ILoggerFactory loggers)
    {
        var certificate = new TlsCertificate(options, Load(options), time, loggers.CreateLogger<TlsCertificate>());
        certificate.Tell();
        certificate._watching = certificate.WatchAsync();
        s_current = certificate;
        return certificate;
    }

    /// <summary>What a new connection is offered.</summary>
    public SslServerAuthenticationOptions Offer() => Volatile.Read(ref _loaded).Options;

    /// <summary>How the certificate stands, for readiness; a warning does not fail it.</summary>
    public string State()
    {
        var end = EndOf(Leaf);
        var left = end - _time.GetUtcNow();
        if (Volatile.Read(ref _failure) is { } failure) return $"warning: the files were changed and can't be used, the certificate before them is: {failure}";
        if (left <= TimeSpan.Zero) return $"warning: the certificate ended at {end:u}";
        if (StartOf(Leaf) is var start && start > _time.GetUtcNow()) return $"warning: the certificate is valid from {start:u} on only";
        return left < TimeSpan.FromDays(7) ? $"warning: the certificate ends in {left.TotalDays:0.0} days, at {end:u}" : "ok";
    }

    public async ValueTask DisposeAsync()
    {
        Interlocked.CompareExchange(ref s_current, null, this);
        await _stop.CancelAsync();
        await _watching;
        _stop.Dispose();
    }

    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token)) Look();
        }
        catch (OperationCanceledException)
        {
            // The server stops.
        }
    }

    private void Look()
    {
        byte[] seen = [];
        try
        {
            var (certificate, key) = Read(_options);
            seen = HashOf(certificate, key);
            if (seen.AsSpan().SequenceEqual(_loaded.Hash))
            {
                Volatile.Write(ref _failure, null);
                _failed = null;
                return;
            }
            var next = Load(_options, certificate, key);
            if (EndOf(next.Leaf) <= _time.GetUtcNow()) throw Refused(_options.Certificate, $"ended at {EndOf(next.Leaf):u}");
            if (StartOf(next.Leaf) > _time.GetUtcNow()) throw Refused(_options.Certificate, $"is valid from {StartOf(next.Leaf):u} on only");
            // Those who shake hands now have the old one; it is left to the garbage collector.
            Volatile.Write(ref _loaded, next);
            Volatile.Write(ref _failure, null);
            _failed = null;
            var (name, end) = (next.Leaf.Subject, EndOf(next.Leaf));
            LogChanged(name, end);
            Tell();
        }
        catch (LockstepException e)
        {
            // Seen once it may be two files on their way; seen twice it is a mistake.
            if (_failed is { } before && before.AsSpan().SequenceEqual(seen) && _failure is null)
            {
                Volatile.Write(ref _failure, e.Message);
                LogRefused(e.Message);
            }
            _failed = seen;
        }
    }

    private void Tell()
    {
        if (IsOpenToAll(_options.Key)) LogOpen(_options.Key);
        if (State() is not "ok" and var state) LogState(state);
    }

    private static bool IsOpenToAll(string path)
    {
        try
        {
            return !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite)) != UnixFileMode.None;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Gone again since it was read: the next look tells.
            return false;
        }
    }

    private static Loaded Load(TlsOptions options)
    {
        var (certificate, key) = Read(options);
        return Load(options, certificate, key);
    }

    private static (string Certificate, string Key) Read(TlsOptions options) => (ReadFile(options.Certificate), ReadFile(options.Key));

    private static string ReadFile(string path)
    {
        try
        {
            return new FileInfo(path).Length <= MaxFile ? File.ReadAllText(path) : throw Refused(path, "is too large for a PEM file");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused(path, $"can't be read: {e.Message}");
        }
    }

    private static Loaded Load(TlsOptions options, string certificate, string key)
    {
        var chain = new X509Certificate2Collection();
        try
        {
            chain.ImportFromPem(certificate);
        }
        catch (CryptographicException e)
        {
            throw Refused(options.Certificate, $"is damaged: {e.Message}");
        }
        // A block without its end is passed over in silence: of a file that is still being written the last ones would be missing.
        if (chain.Count == 0 || chain.Count != Count(certificate, "-----BEGIN CERTIFICATE-----"))
            throw Refused(options.Certificate, chain.Count == 0 ? "holds no certificate in PEM form" : "is cut off");
        if (key.Contains("ENCRYPTED", StringComparison.Ordinal)) throw Refused(options.Key, "is encrypted; there is nobody to ask for its password: store it without, for the server's user alone");
        try
        {
            var leaf = X509Certificate2.CreateFromPem(certificate, key);
            chain.RemoveAt(0);
            return new Loaded(leaf, OfferOf(SslStreamCertificateContext.Create(leaf, chain, offline: true)), HashOf(certificate, key));
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            // The exception's own words may quote what it could not read.
            throw Refused(options.Key, $"holds no private key in PEM form that belongs to the first certificate of {options.Certificate}");
        }
    }

    private static SslServerAuthenticationOptions OfferOf(SslStreamCertificateContext context) => new()
    {
        ServerCertificateContext = context,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        ApplicationProtocols = [SslApplicationProtocol.Http11],
        AllowRenegotiation = false,
    };

    private static DateTimeOffset StartOf(X509Certificate2 certificate) => new(certificate.NotBefore.ToUniversalTime(), TimeSpan.Zero);

    private static DateTimeOffset EndOf(X509Certificate2 certificate) => new(certificate.NotAfter.ToUniversalTime(), TimeSpan.Zero);

    private static byte[] HashOf(string certificate, string key) => SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(certificate + "\0" + key));

    private static int Count(string text, string part)
    {
        var count = 0;
        for (var at = text.IndexOf(part, StringComparison.Ordinal); at >= 0; at = text.IndexOf(part, at + part.Length, StringComparison.Ordinal)) count++;
        return count;
    }

    private static LockstepException Refused(string path, string why) => new(ErrorCode.InvalidConfig, $"the file {path} of the setting tls {why}");

    [LoggerMessage(Level = LogLevel.Information, Message = "New connections get the certificate {Certificate}, valid until {NotAfter}")]
    private partial void LogChanged(string certificate, DateTimeOffset notAfter);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The certificate in use is kept: {Reason}")]
    private partial void LogRefused(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{State}")]
    private partial void LogState(string state);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The private key {Key} can be read by every user of this machine: chmod 600 it")]
    private partial void LogOpen(string key);

    /// <summary>A pair that fits together, with the hash of what was in its files.</summary>
    private sealed record Loaded(X509Certificate2 Leaf, SslServerAuthenticationOptions Options, byte[] Hash);
}
