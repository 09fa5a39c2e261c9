using System.Net;

namespace Lockstep.Audit;

/// <summary>
/// Counts failed authentications per address and minute, so that guessing costs the record one line a minute for each address, and beyond
/// <see cref="MaxAddresses"/> one line for all others. The server drains it every minute into <see cref="AuditLog.RecordAsync"/>.
/// </summary>
internal sealed class FailedAuthentications(TimeProvider time)
{
    public const int MaxAddresses = 1024;
    public const string Action = "authentication.failed";

    private readonly Lock _lock = new();
    private Dictionary<(long Minute, string Address, string Reason), int> _counts = [];

    /// <summary>Counts one; <paramref name="reason"/> is one of a few stable words.</summary>
    public void Count(IPAddress? address, string reason)
    {
        var minute = time.GetUtcNow().ToUnixTimeSeconds() / 60;
        var text = address is null ? "unknown" : (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
        lock (_lock)
        {
            var key = (minute, text, reason);
            if (_counts.Count >= MaxAddresses && !_counts.ContainsKey(key)) key = (minute, "others", "any");
            _counts[key] = _counts.GetValueOrDefault(key) + 1;
        }
    }

    /// <summary>Counts again what could not be recorded.</summary>
    public void PutBack(IEnumerable<AuditEntry> entries)
    {
        lock (_lock)
        {
            foreach (var entry in entries)
            {
                var key = (entry.At.ToUnixTimeSeconds() / 60, entry.Address!, entry.Detail!);
                if (_counts.Count < MaxAddresses || _counts.ContainsKey(key)) _counts[key] = _counts.GetValueOrDefault(key) + entry.Count;
            }
        }
    }

    /// <summary>Takes what was counted, as entries.</summary>
    public IReadOnlyList<AuditEntry> Drain()
    {
        Dictionary<(long Minute, string Address, string Reason), int> counts;
        lock (_lock)
        {
            if (_counts.Count == 0) return [];
            (counts, _counts) = (_counts, []);
        }
        return
        [
            .. counts.OrderBy(c => c.Key.Minute).ThenBy(c => c.Key.Address, StringComparer.Ordinal).Select(c => new AuditEntry
            {
                At = DateTimeOffset.FromUnixTimeSeconds(c.Key.Minute * 60),
                Action = Action,
                Decision = AuditEntry.Denied,
                Address = c.Key.Address,
                Count = c.Value,
                Detail = c.Key.Reason,
            }),
        ];
    }
}
