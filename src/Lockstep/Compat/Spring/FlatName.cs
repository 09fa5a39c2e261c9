namespace Lockstep.Compat.Spring;

/// <summary>The last segment of a flat form, <c>NAME-PROFILES.yml</c>: the last hyphen splits it.</summary>
internal sealed record FlatName(string Name, string Profiles, string Extension)
{
    private static readonly string[] s_extensions = [".properties", ".json", ".yml", ".yaml"];

    /// <summary>Null when the segment has no such form.</summary>
    public static FlatName? Parse(string segment)
    {
        var extension = s_extensions.FirstOrDefault(e => segment.EndsWith(e, StringComparison.Ordinal));
        if (extension is null) return null;
        var stem = segment[..^extension.Length];
        var hyphen = stem.LastIndexOf('-');
        return hyphen > 0 && hyphen < stem.Length - 1 ? new FlatName(stem[..hyphen], stem[(hyphen + 1)..], extension) : null;
    }

    /// <summary>Whether one of the extensions stands in the text as a word: then it is no profile.</summary>
    public static bool HasExtension(string text)
    {
        foreach (var extension in s_extensions)
            for (var at = text.IndexOf(extension, StringComparison.Ordinal); at >= 0; at = text.IndexOf(extension, at + 1, StringComparison.Ordinal))
                if (at > 0 && IsWord(text[at - 1]) && (at + extension.Length == text.Length || !IsWord(text[at + extension.Length]))) return true;
        return false;
    }

    private static bool IsWord(char c) => char.IsAsciiLetterOrDigit(c) || c == '_';
}
