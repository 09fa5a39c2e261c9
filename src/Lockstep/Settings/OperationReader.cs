using System.Globalization;

namespace Lockstep.Settings;

/// <summary>Reads <c>tls</c>, <c>limits</c>, <c>drain</c> and <c>telemetry</c>.</summary>
internal static class OperationReader
{
    private const int MaxRequestsPerSecond = 10_000_000;

    private static readonly TimeSpan s_longestDrain = TimeSpan.FromMinutes(1);

    public static OperationOptions Read(SettingsReader root)
    {
        var defaults = new OperationOptions();
        return new OperationOptions
        {
            Tls = Tls(root.Section("tls"), root),
            RequestsPerSecond = Requests(root.Section("limits"), defaults.RequestsPerSecond),
            Drain = root.Duration("drain", defaults.Drain, TimeSpan.Zero, s_longestDrain),
            Otlp = Otlp(root.Section("telemetry")),
        };
    }

    /// <summary>Reports what the listeners and <c>tls</c> have to do with each other.</summary>
    public static void CheckListeners(SettingsReader root, ServerOptions options)
    {
        var isSecure = options.Listen.Https || options.Management.Https;
        if (isSecure && options.Operation.Tls is null)
            root.Fail(options.Listen.Https ? "listen" : "management", "is https, which needs tls: { certificate, key }, both PEM files");
        if (!isSecure && options.Operation.Tls is not null)
            root.Fail("tls", "is used by no listener; write listen (or management) as https://…");
        if (!options.Listen.Https && !options.Listen.IsLoopback && options.TrustedProxies.IsEmpty)
        {
            root.Fail("listen", $"{options.Listen} would carry tokens and secrets in plain text beyond this machine; listen on https with tls: {{ certificate, key }}, "
                + "listen on 127.0.0.1, or put a proxy with TLS before it and name its network in trustedProxies");
        }
    }

    private static TlsOptions? Tls(SettingsReader section, SettingsReader root)
    {
        var (certificate, key) = (section.Path("certificate"), section.Path("key"));
        section.Done();
        if (certificate is null && key is null) return null;
        if (certificate is not null && key is not null) return new TlsOptions(certificate, key);
        root.Fail("tls", $"has no {(key is null ? "key" : "certificate")}; it needs both certificate and key, PEM files");
        return null;
    }

    private static int Requests(SettingsReader section, int absent)
    {
        var text = section.Text("requestsPerSecond");
        section.Done();
        if (text is null) return absent;
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number <= MaxRequestsPerSecond) return number;
        section.Fail("requestsPerSecond", $"must be a whole number from 0 (no limit) to {MaxRequestsPerSecond}");
        return absent;
    }

    private static Uri? Otlp(SettingsReader section)
    {
        var text = section.Text("otlp");
        section.Done();
        if (text is null) return null;
        if (Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && url is { UserInfo: "", Query: "", Fragment: "" }) return url;
        section.Fail("otlp", "must be an http: or https: URL without user, password and query, such as http://127.0.0.1:4318; headers go into OTEL_EXPORTER_OTLP_HEADERS");
        return null;
    }
}
