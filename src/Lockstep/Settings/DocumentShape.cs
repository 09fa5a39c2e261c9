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

    public static DocumentShape Of(ConfigOptions config)
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
            json.WriteEndObject();
        }
        return Parse(Encoding.UTF8.GetString(buffer.ToArray()));
    }

    /// <summary>Reads what <see cref="Of"/> wrote.</summary>
    public static DocumentShape Parse(string settings)
    {
        using var json = JsonDocument.Parse(settings);
        var root = json.RootElement;
        return new DocumentShape(
            root.GetProperty("branch").GetString()!, [.. root.GetProperty("searchPaths").EnumerateArray().Select(p => p.GetString()!)], settings);
    }
}
