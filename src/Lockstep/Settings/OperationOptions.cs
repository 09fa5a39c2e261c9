namespace Lockstep.Settings;

/// <summary>How the server is run: its certificate, how much one caller may ask, how it stops and whom it reports to.</summary>
internal sealed record OperationOptions
{
    /// <summary>What https listeners show (<c>tls:</c>).</summary>
    public TlsOptions? Tls { get; init; }

    /// <summary>How many requests one token may make a second, in the long run (<c>limits.requestsPerSecond</c>); 0: any number.</summary>
    public int RequestsPerSecond { get; init; } = 100_000;

    /// <summary>How long the server goes on to serve after it was told to stop, with readiness refused already (<c>drain:</c>).</summary>
    public TimeSpan Drain { get; init; } = TimeSpan.Zero;

    /// <summary>Where traces and metrics are sent (<c>telemetry.otlp</c>); null: nowhere.</summary>
    public Uri? Otlp { get; init; }
}

/// <summary>PEM files: the certificate with those that lead to its issuer after it, and its private key.</summary>
internal sealed record TlsOptions(string Certificate, string Key);
