using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Lockstep.Settings;

/// <summary>
/// The settings that shape documents. They are kept with the release that first had them, so that a document of the past is made as it was then; another
/// <see cref="Hash"/> makes another release.
/// </summary>
/// <param name="Branch">The tracked branch.</param>
/// <param name="SearchPaths">Directories searched after the root.</param>
/// <param name="Settings">All of it as canonical JSON.</param>
internal sealed record DocumentShape(string Branch, ImmutableArray<string> SearchPaths, string Settings)
{
    /// <summary>How documents are made of the same sources; raised when that changes.</summary>
    public const int FormatVersion = 1;

    /// <summary>SHA-256 of <see cref="Settings"/> in hexadecimal.</summary>
    public string Hash { get; } = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Settings)));

    /// <summary>Values that win over everything in the repository.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Overrides { get; private init; } = [];

    /// <summary>Which key <c>{cipher}</c> values are decrypted with, as <c>CipherKey.Identity</c> names it; null without one.</summary>
    public string? Cipher { get; private init; }

    /// <param name="config">Where configuration comes from.</param>
    /// <param name="overrides">Values that win over everything in the repository.</param>
    /// <param name="cipher">The identity of the key of <c>{cipher}</c> values; never the key itself.</param>
    public static DocumentShape Of(ConfigOptions config, ImmutableArray<KeyValuePair<string, string>> overrides = default, string? cipher = null)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteNumber("format", FormatVersion);
            json.WriteString("branch", config.Branch);
            json.WriteStartArray("searchPaths");
            foreach (var path in config.SearchPaths) json.WriteStringValue(path);
            json.WriteEndArray();
            // Absent when there are none: a server that knows neither has the same shape as before they existed.
            if (!overrides.IsDefaultOrEmpty)
            {
                json.WriteStartObject("overrides");
                foreach (var (key, value) in overrides) json.WriteString(key, value);
                json.WriteEndObject();
            }
            if (cipher is not null) json.WriteString("cipher", cipher);
            json.WriteEndObject();
        }
        return Parse(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    /// <summary>Reads what <see cref="Of"/> wrote, now or before a field existed.</summary>
    public static DocumentShape Parse(string settings)
    {
        using var json = JsonDocument.Parse(settings);
        var root = json.RootElement;
        return new DocumentShape(
            root.GetProperty("branch").GetString()!, [.. root.GetProperty("searchPaths").EnumerateArray().Select(p => p.GetString()!)], settings)
        {
            Overrides = root.TryGetProperty("overrides", out var overrides)
                ? [.. overrides.EnumerateObject().Select(o => KeyValuePair.Create(o.Name, o.Value.GetString()!))]
                : [],
            Cipher = root.TryGetProperty("cipher", out var cipher) ? cipher.GetString() : null,
        };
    }
}
