using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Lockstep.Settings;
using Lockstep.Storage;

namespace Lockstep.Audit;

/// <summary>
/// Enters which settings differ from those of the last start. Of each the database keeps an HMAC alone, so that one whose value is secret, or long, can be compared too; the entry names them and
/// holds no value.
/// </summary>
internal static class SettingsRecord
{
    private const string Prefix = "settings:";
    private const int MaxNamed = 50;
    private const int HashBytes = 16;

    /// <summary>Compares, enters what changed, and keeps what is now. The very first start enters nothing; another that finds nothing to compare with says so.</summary>
    public static Task CompareAsync(AuditLog log, ServerOptions options, DateTimeOffset now, CancellationToken cancellationToken)
    {
        var key = log.Derive("settings");
        var hashes = SettingsPrinter.Entries(options).ToDictionary(
            e => e.Key, e => Convert.ToBase64String(HMACSHA256.HashData(key, Encoding.UTF8.GetBytes($"{e.Key}\0{e.Value}")).AsSpan(0, HashBytes)), StringComparer.Ordinal);
        return log.Database.WriteAsync(session =>
        {
            var before = Meta.GetText(session, Prefix + log.Node) is { } text ? JsonSerializer.Deserialize(text, AuditJson.Default.DictionaryStringString) : null;
            var changed = before is null ? [] : hashes.Keys.Union(before.Keys, StringComparer.Ordinal).Where(k => hashes.GetValueOrDefault(k) != before.GetValueOrDefault(k)).Order(StringComparer.Ordinal).ToList();
            if (before is not null && changed.Count == 0) return true;
            Meta.SetText(session, Prefix + log.Node, JsonSerializer.Serialize(hashes, AuditJson.Default.DictionaryStringString));
            if (changed.Count > 0) log.Append(session, Entry(Named(changed), now));
            else if (AuditChain.Tail(session, log.Node).Seq > 0) log.Append(session, Entry("compared with nothing: what was kept of the settings of the last start is gone", now));
            return true;
        }, cancellationToken);
    }

    private static string Named(List<string> changed) => string.Join(", ", changed.Take(MaxNamed)) + (changed.Count > MaxNamed ? $" and {changed.Count - MaxNamed} more" : "");

    private static AuditEntry Entry(string detail, DateTimeOffset now) => new()
    {
        At = now,
        Action = "settings.change",
        Decision = AuditEntry.Allowed,
        Actor = "system:server",
        TokenId = "system:server",
        Route = "server",
        Detail = detail,
    };
}
