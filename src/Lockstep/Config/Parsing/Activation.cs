using System.Collections.Immutable;

namespace Lockstep.Config.Parsing;

/// <summary>
/// When a document of a file applies: <c>spring.config.activate.on-profile</c> and <c>on-cloud-platform</c>, by any of Spring's relaxed spellings.
/// The server stands on no cloud platform, so only <c>none</c> matches.
/// </summary>
internal sealed record Activation(ImmutableArray<ProfileExpression> AnyOf, bool OtherPlatform)
{
    private const string Prefix = "spring.config.activate.";

    public bool Matches(ImmutableArray<string> profiles) =>
        !OtherPlatform && (AnyOf.IsEmpty || AnyOf.Any(e => e.Matches(profiles)));

    /// <summary>Null when nothing restricts the document.</summary>
    public static Activation? From(ImmutableArray<PropertyEntry> entries)
    {
        List<ProfileExpression> expressions = [];
        var otherPlatform = false;
        foreach (var entry in entries)
        {
            switch (ConditionName(entry.Key))
            {
                case "onprofile":
                    foreach (var item in entry.Value.Text.Split(',', StringSplitOptions.TrimEntries))
                        if (item.Length > 0) expressions.Add(ProfileExpression.Parse(item, entry.Line));
                    break;
                case "oncloudplatform":
                    otherPlatform |= !entry.Value.Text.Trim().Equals("none", StringComparison.OrdinalIgnoreCase);
                    break;
            }
        }
        return expressions.Count == 0 && !otherPlatform ? null : new Activation([.. expressions], otherPlatform);
    }

    /// <summary>What follows the prefix, in lower case without dashes, underscores and index; null for other keys.</summary>
    private static string? ConditionName(string key)
    {
        if (key.Length > 100 || !key.StartsWith('s') && !key.StartsWith('S')) return null;
        var bracket = key.IndexOf('[', StringComparison.Ordinal);
        if (bracket >= 0 && !key.EndsWith(']')) return null;
        var uniform = string.Concat((bracket < 0 ? key : key[..bracket]).Where(c => c == '.' || char.IsAsciiLetterOrDigit(c))).ToLowerInvariant();
        return uniform.StartsWith(Prefix, StringComparison.Ordinal) ? uniform[Prefix.Length..] : null;
    }
}
