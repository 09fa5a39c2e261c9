using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Lockstep.Config.Placeholders;
using Lockstep.Settings;

namespace Lockstep.Config;

/// <summary>What the settings add to the sources of the repository: overrides, and the text behind <c>{cipher}</c> values.</summary>
internal static class SourceShaping
{
    /// <summary>The name of the source that holds the overrides. It has no path.</summary>
    public const string Overrides = "overrides";

    /// <summary>What stands where there is no value: under <c>invalid.KEY</c> when it could not be decrypted, as Spring has it.</summary>
    public const string NotAvailable = "<n/a>";

    // By the entries of a parsed file, which are one object for as long as the file is kept.
    private static readonly ConditionalWeakTable<PropertyEntry[], Kept> s_kept = [];

    /// <param name="set">As read from the repository.</param>
    /// <param name="shape">The settings of the release.</param>
    /// <param name="cipher">The key of this server: used for releases that were made with the same one, and for no others.</param>
    /// <param name="known">The only encrypted values to decrypt; others are text, right or not: the format has no authentication, and each answer would tell something of the key. Null: all.</param>
    public static SourceSet Apply(SourceSet set, DocumentShape shape, CipherKey? cipher, IReadOnlySet<string>? known = null)
    {
        var key = shape.Cipher is not null && shape.Cipher == cipher?.Identity ? cipher : null;
        var decrypted = set.Sources.Select(s => known is null ? DecryptedOf(s.Entries, key) : s.Entries.Any(IsEncrypted) ? Decrypt(s.Entries, key, known) : null).ToList();
        if (decrypted.Any(d => d is not null))
        {
            var reason = key is not null ? "the value was not encrypted with the key of spring.encryptKeyFile"
                : shape.Cipher is not null ? "the value is encrypted, and this server does not have the key that the release was made with"
                : "the value is encrypted, and spring.encryptKeyFile is not set";
            set = set with
            {
                Sources = [.. set.Sources.Zip(decrypted, (s, d) => d is null ? s : s with { Entries = d.Entries })],
                CipherErrors = [.. set.Sources.Zip(decrypted, (s, d) => d?.Failed.Select(f =>
                    new ConfigError(new SourceLocation(s.Path, f.Line), f.Key, f.Reason ?? reason)) ?? []).SelectMany(e => e)],
            };
        }
        if (shape.Overrides.IsEmpty) return set;
        var entries = shape.Overrides.Select(o => new PropertyEntry(o.Key, new ScalarValue(ScalarKind.String, o.Value), 0, 1)).ToImmutableArray();
        return set with { Sources = set.Sources.Insert(0, new PropertySource(Overrides, "", 0, entries)) };
    }

    public static bool HasEncrypted(SourceSet set) => set.Sources.Any(s => s.Entries.Any(IsEncrypted));

    /// <summary>The encrypted values of a set, as they stand in the files.</summary>
    public static IReadOnlySet<string> EncryptedOf(SourceSet set) =>
        set.Sources.SelectMany(s => s.Entries).Where(IsEncrypted).Select(e => e.Value.Text).ToHashSet(StringComparer.Ordinal);

    private static bool IsEncrypted(PropertyEntry entry) =>
        entry.Value.Kind == ScalarKind.String && entry.Value.Text.StartsWith(CipherKey.Prefix, StringComparison.Ordinal);

    // Null when nothing in them is encrypted.
    private static Decrypted? DecryptedOf(ImmutableArray<PropertyEntry> entries, CipherKey? key)
    {
        var kept = s_kept.GetValue(ImmutableCollectionsMarshal.AsArray(entries)!, e => new Kept { IsEncrypted = e.Any(IsEncrypted) });
        if (!kept.IsEncrypted) return null;
        if (kept.Last is { } last && last.Key == key) return last;
        return kept.Last = Decrypt(entries, key, null);
    }

    private static Decrypted Decrypt(ImmutableArray<PropertyEntry> entries, CipherKey? key, IReadOnlySet<string>? known)
    {
        var failed = ImmutableArray.CreateBuilder<(int, string, string?)>();
        return new Decrypted(key, [.. entries.Select(e => IsEncrypted(e) && known?.Contains(e.Value.Text) != false ? Decrypted(e) : e)], failed.DrainToImmutable());

        PropertyEntry Decrypted(PropertyEntry entry)
        {
            var text = key?.Decrypt(entry.Value.Text);
            if (text is not null && !HoldsReference(text)) return entry with { Scalar = new ConfigValue.Scalar(entry.Value with { Text = text }) };
            failed.Add((entry.Line, entry.Key, text is null ? null : "an encrypted value can't hold a reference to a secret"));
            return entry with { Key = "invalid." + entry.Key, Scalar = new ConfigValue.Scalar(new ScalarValue(ScalarKind.String, NotAvailable)) };
        }
    }

    // Whoever commits a reference needs secret:read on it, which only text that can be read is checked for.
    private static bool HoldsReference(string text)
    {
        try
        {
            return TemplateParser.References(text).Any(p => p.Ref is not null);
        }
        catch (TemplateException)
        {
            return true;
        }
    }

    private sealed class Kept
    {
        public required bool IsEncrypted { get; init; }

        /// <summary>What they came to the last time.</summary>
        public Decrypted? Last { get; set; }
    }

    /// <summary>Entries decrypted with a key, or found to have none; a failure without a reason is that the key does not fit.</summary>
    private sealed record Decrypted(CipherKey? Key, ImmutableArray<PropertyEntry> Entries, ImmutableArray<(int Line, string Key, string? Reason)> Failed);
}
