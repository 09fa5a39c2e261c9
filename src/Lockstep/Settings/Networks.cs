using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Lockstep.Settings;

/// <summary>Networks in CIDR notation.</summary>
internal static class Networks
{
    public const int MaxCount = 64;

    /// <summary>The networks (a bare address is a network of one), or what is wrong.</summary>
    public static (ImmutableArray<IPNetwork> Networks, string? Error) Parse(IReadOnlyCollection<string> texts)
    {
        if (texts.Count > MaxCount) return ([], $"holds {texts.Count.ToString(CultureInfo.InvariantCulture)} networks; at most {MaxCount} are allowed");
        var networks = ImmutableArray.CreateBuilder<IPNetwork>(texts.Count);
        foreach (var text in texts)
        {
            if (!TryParse(text, out var network)) return ([], $"'{text}' is not a network such as 10.0.0.0/8 or fd00::/8 (bits behind the prefix must be 0)");
            networks.Add(network.Value);
        }
        return (networks.MoveToImmutable(), null);
    }

    /// <summary>Whether the address is in one of them; an empty list holds every address.</summary>
    public static bool Hold(ImmutableArray<IPNetwork> networks, IPAddress? address)
    {
        if (networks.IsEmpty) return true;
        if (address is null) return false;
        if (address.IsIPv4MappedToIPv6) address = address.MapToIPv4();
        foreach (var network in networks)
            if (network.Contains(address)) return true;
        return false;
    }

    /// <summary>Whether every address of <paramref name="inner"/> is in <paramref name="outer"/>; an empty list is every address.</summary>
    public static bool Cover(ImmutableArray<IPNetwork> outer, ImmutableArray<IPNetwork> inner) =>
        outer.IsEmpty
        || (!inner.IsEmpty && inner.All(i => outer.Any(o => o.BaseAddress.AddressFamily == i.BaseAddress.AddressFamily
            && o.PrefixLength <= i.PrefixLength && o.Contains(i.BaseAddress))));

    // The platform reads "10/8" as 0.0.0.10/8 and drops bits behind the prefix: both would hide a mistake.
    private static bool TryParse(string text, [NotNullWhen(true)] out IPNetwork? network)
    {
        network = null;
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var addressText = slash < 0 ? text : text[..slash];
        if (!IPAddress.TryParse(addressText, out var address) || addressText.Contains('%')) return false;
        if (!addressText.Contains(':') && address.ToString() != addressText) return false;
        if (address.IsIPv4MappedToIPv6) return false;
        if (slash < 0) network = new IPNetwork(address, address.GetAddressBytes().Length * 8);
        else if (IPNetwork.TryParse(text, out var parsed) && parsed.BaseAddress.Equals(address)) network = parsed;
        return network is not null;
    }
}
