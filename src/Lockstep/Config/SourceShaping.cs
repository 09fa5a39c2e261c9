using System.Collections.Immutable;
using Lockstep.Settings;

namespace Lockstep.Config;

/// <summary>What the settings add to the sources of the repository: overrides, and the text behind <c>{cipher}</c> values.</summary>
internal static class SourceShaping
{
    /// <summary>The name of the source that holds the overrides. It has no path.</summary>
    public const string Overrides = "overrides";

    /// <summary>What stands where a value could not be decrypted, under <c>invalid.KEY</c>: as Spring has it.</summary>
    private const string Invalid = "<n/a>";

    /// <param name="set">As read from the repository.</param>
    /// <param name="shape">The settings of the release.</param>
    /// <param name="cipher">The key of this server: used for releases that were made with the same one, and for no others.</param>
    public static SourceSet Apply(SourceSet set, DocumentShape shape, CipherKey? cipher)
    {
        if (set.Sources.Any(s => s.Entries.Any(IsEncrypted)))
        {
            var errors = ImmutableArray.CreateBuilder<ConfigError>();
            var key = shape.Cipher is not null && shape.Cipher == cipher?.Identity ? cipher : null;
            var reason = key is not null ? "the value was not encrypted with the key of spring.encryptKeyFile"
                : shape.Cipher is not null ? "the value is encrypted, and this server does not have the key that the release was made with"
                : "the value is encrypted, and spring.encryptKeyFile is not set";
            set = set with { Sources = [.. set.Sources.Select(s => Decrypted(s, key, reason, errors))], CipherErrors = errors.DrainToImmutable() };
        }
        if (shape.Overrides.IsEmpty) return set;
        var entries = shape.Overrides.Select(o => new PropertyEntry(o.Key, new ScalarValue(ScalarKind.String, o.Value), 0, 1)).ToImmutableArray();
        return set with { Sources = set.Sources.Insert(0, new PropertySource(Overrides, "", 0, entries)) };
    }

    private static bool IsEncrypted(PropertyEntry entry) =>
        entry.Value.Kind == ScalarKind.String && entry.Value.Text.StartsWith(CipherKey.Prefix, StringComparison.Ordinal);

    private static PropertySource Decrypted(PropertySource source, CipherKey? key, string reason, ImmutableArray<ConfigError>.Builder errors)
    {
        if (!source.Entries.Any(IsEncrypted)) return source;
        return source with { Entries = [.. source.Entries.Select(e => IsEncrypted(e) ? Decrypted(e) : e)] };

        PropertyEntry Decrypted(PropertyEntry entry)
        {
            if (key?.Decrypt(entry.Value.Text) is { } text) return entry with { Scalar = new ConfigValue.Scalar(entry.Value with { Text = text }) };
            errors.Add(new ConfigError(new SourceLocation(source.Path, entry.Line), entry.Key, reason));
            return entry with { Key = "invalid." + entry.Key, Scalar = new ConfigValue.Scalar(new ScalarValue(ScalarKind.String, Invalid)) };
        }
    }
}
