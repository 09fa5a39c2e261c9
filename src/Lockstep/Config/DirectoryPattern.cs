using System.IO.Enumeration;

namespace Lockstep.Config;

/// <summary>A directory pattern of a search path: <c>*</c> and <c>?</c> within a segment, <c>**</c> for any number of segments, none included.</summary>
internal static class DirectoryPattern
{
    public static bool IsPattern(string path) => path.AsSpan().ContainsAny('*', '?');

    /// <summary>What every directory begins with that matches.</summary>
    public static string Beginning(string pattern) => pattern[..pattern.AsSpan().IndexOfAny('*', '?')].TrimEnd('/');

    public static bool IsMatch(string pattern, string directory)
    {
        var patterns = pattern.Split('/');
        var segments = directory.Length == 0 ? [] : directory.Split('/');
        var (p, s, afterStar, resume) = (0, 0, -1, 0);
        while (s < segments.Length)
        {
            if (p < patterns.Length && patterns[p] == "**")
                (afterStar, resume) = (++p, s);
            else if (p < patterns.Length && FileSystemName.MatchesSimpleExpression(patterns[p], segments[s], ignoreCase: false))
                (p, s) = (p + 1, s + 1);
            else if (afterStar >= 0)
                (p, s) = (afterStar, ++resume);
            else
                return false;
        }
        while (p < patterns.Length && patterns[p] == "**") p++;
        return p == patterns.Length;
    }
}
