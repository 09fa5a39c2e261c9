using System.Globalization;
using System.Text;

namespace Lockstep.Config.Git;

/// <summary>The forms of what git prints and takes.</summary>
internal static class GitNames
{
    /// <summary>The full name of a branch's ref.</summary>
    public static string BranchRef(string branch) => "refs/heads/" + branch;

    /// <summary>A ref's name as people write it: <c>main</c>, <c>v1</c>.</summary>
    public static string ShortName(string name) =>
        name.StartsWith("refs/heads/", StringComparison.Ordinal) ? name["refs/heads/".Length..]
        : name.StartsWith("refs/tags/", StringComparison.Ordinal) ? name["refs/tags/".Length..] : name;

    private const int ShownCharacters = 200;
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>A full SHA-1 or SHA-256 id in lower case.</summary>
    public static bool IsObjectId(string text) => text.Length is 40 or 64 && text.All(char.IsAsciiHexDigitLower);

    /// <summary>A full id as people may write it, in upper case too. Where such a label is looked up it is a commit's id, whatever the names of the refs.</summary>
    public static bool IsFullId(string text) => text.Length is 40 or 64 && text.All(char.IsAsciiHexDigit);

    /// <summary>Whether a name could be taken for a commit's id, full or abbreviated.</summary>
    public static bool LooksLikeId(string name) => name.Length is >= 7 and <= 64 && name.All(char.IsAsciiHexDigit);

    /// <summary>Null when the bytes are not UTF-8.</summary>
    public static string? Utf8(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return s_strict.GetString(bytes);
        }
        catch (DecoderFallbackException)
        {
            return null;
        }
    }

    /// <summary>The rules of git-check-ref-format for <c>refs/heads/NAME</c>, and no leading '-'.</summary>
    public static bool IsBranchName(string name) =>
        name.Length is > 0 and <= 200 && name[0] != '-' && name != "@" && name != "HEAD"
        && !name.Any(c => char.IsControl(c) || c is ' ' or '~' or '^' or ':' or '?' or '*' or '[' or '\\')
        && !name.Contains("..", StringComparison.Ordinal) && !name.Contains("@{", StringComparison.Ordinal) && !name.EndsWith('.')
        && name.Split('/').All(part => part.Length > 0 && part[0] != '.' && !part.EndsWith(".lock", StringComparison.Ordinal));

    /// <summary>A path a commit may hold: relative, in normal form, nowhere near <c>.git</c>.</summary>
    public static bool IsFilePath(string path) =>
        path.Length is > 0 and <= 1000 && !path.Any(char.IsControl) && !path.Contains('\\', StringComparison.Ordinal)
        && path.Split('/').All(part => part.Length > 0 && part is not ("." or "..") && !part.StartsWith(".git", StringComparison.OrdinalIgnoreCase));

    /// <summary>The text of a commit object, shortened.</summary>
    public static GitCommitInfo ParseCommit(string text)
    {
        var end = text.IndexOf("\n\n", StringComparison.Ordinal);
        var head = end < 0 ? text : text[..end];
        var message = end < 0 ? "" : text[(end + 2)..].TrimStart('\n', '\r', ' ');
        var line = head.Split('\n').FirstOrDefault(l => l.StartsWith("author ", StringComparison.Ordinal)) ?? "author ";
        // `author NAME <MAIL> SECONDS ZONE`; the name may hold anything but '<', '>' and line ends.
        var mail = line.IndexOf('<', StringComparison.Ordinal);
        var author = line["author ".Length..(mail < "author ".Length ? line.Length : mail)];
        var stamp = line[(line.LastIndexOf('>') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        var seconds = long.TryParse(stamp, NumberStyles.None, CultureInfo.InvariantCulture, out var s) && s <= 253402300799 ? s : 0;
        var subject = message.Split('\n', 2)[0];
        return new GitCommitInfo(Shown(author), DateTimeOffset.FromUnixTimeSeconds(seconds), Shown(subject));
    }

    /// <summary>Foreign text for people: trimmed, without control characters, bounded.</summary>
    public static string Shown(string text)
    {
        text = string.Concat(text.Trim().Take(ShownCharacters + 1).Select(c => char.IsControl(c) ? ' ' : c));
        return text.Length <= ShownCharacters ? text : string.Concat(text.AsSpan(0, ShownCharacters - (char.IsHighSurrogate(text[ShownCharacters - 1]) ? 1 : 0)), "…");
    }
}
