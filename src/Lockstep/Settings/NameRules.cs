using System.Buffers;

namespace Lockstep.Settings;

/// <summary>Which names of services, environments and tokens are accepted.</summary>
internal static class NameRules
{
    public const int MaxLength = 64;

    /// <summary>How many environments one request may name.</summary>
    public const int MaxEnvironments = 16;

    /// <summary>In words, for messages.</summary>
    public const string Words = "1 to 64 lower-case letters, digits, '-', '_' and '.'";

    private static readonly SearchValues<char> s_characters = SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789._-");

    /// <summary>A service or an environment: <c>[a-z0-9._-]</c>, 1–64, but not <c>.</c> or <c>..</c>, since names become parts of paths.</summary>
    public static bool IsName(ReadOnlySpan<char> text) =>
        text.Length is >= 1 and <= MaxLength && !text.ContainsAnyExcept(s_characters) && text is not ("." or "..");

    /// <summary>One environment or several, <c>a,b</c>.</summary>
    public static bool IsEnvironmentList(ReadOnlySpan<char> text)
    {
        var count = 0;
        foreach (var part in text.Split(','))
        {
            if (++count > MaxEnvironments || !IsName(text[part])) return false;
        }
        return true;
    }

    /// <summary>A token or a role: a name that starts with a letter or digit.</summary>
    public static bool IsTokenName(ReadOnlySpan<char> text) => IsName(text) && char.IsAsciiLetterOrDigit(text[0]);

    /// <summary>A branch as <c>git check-ref-format --branch</c> accepts it.</summary>
    public static bool IsBranch(string text)
    {
        if (text.Length is 0 or > 200 || text is "@" || text[0] == '-' || text[^1] == '.') return false;
        if (text.Contains("..", StringComparison.Ordinal) || text.Contains("@{", StringComparison.Ordinal)) return false;
        if (text.Any(c => c <= ' ' || c == 127 || "~^:?*[\\".Contains(c))) return false;
        return text.Split('/').All(part => part.Length > 0 && part[0] != '.' && !part.EndsWith(".lock", StringComparison.Ordinal));
    }
}
