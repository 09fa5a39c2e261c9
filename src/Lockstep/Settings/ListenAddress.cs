using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Lockstep.Settings;

/// <summary>Where a listener binds: <c>http://127.0.0.1:7400</c>, <c>http://localhost:0</c>, <c>https://*:7400</c>. Port 0: any free one.</summary>
internal sealed record ListenAddress(bool Https, IPAddress Address, int Port)
{
    public static ListenAddress Loopback(int port) => new(Https: false, IPAddress.Loopback, port);

    public bool IsLoopback => IPAddress.IsLoopback(Address);

    public static bool TryParse(string text, [NotNullWhen(true)] out ListenAddress? listen)
    {
        listen = null;
        var https = text.StartsWith("https://", StringComparison.OrdinalIgnoreCase);
        if (!https && !text.StartsWith("http://", StringComparison.OrdinalIgnoreCase)) return false;
        var authority = text[(https ? 8 : 7)..].TrimEnd('/');
        var colon = authority.LastIndexOf(':');
        if (colon <= 0) return false;
        if (!ushort.TryParse(authority.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)) return false;
        var host = authority[..colon];
        IPAddress? address = host switch
        {
            "localhost" => IPAddress.Loopback,
            "*" or "+" => IPAddress.IPv6Any,
            ['[', .. var inner, ']'] => IPAddress.TryParse(inner, out var six) && inner.Contains(':') ? six : null,
            _ => !host.Contains(':') && IPAddress.TryParse(host, out var four) && four.ToString() == host ? four : null,
        };
        if (address is null) return false;
        listen = new ListenAddress(https, address, port);
        return true;
    }

    /// <summary>As a URL.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"{(Https ? "https" : "http")}://{new IPEndPoint(Address, Port)}");
}
