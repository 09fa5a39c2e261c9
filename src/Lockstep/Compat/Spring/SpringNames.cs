using System.Collections.Immutable;
using System.Net;
using Lockstep.Client;
using Lockstep.Gate;
using Lockstep.Settings;

namespace Lockstep.Compat.Spring;

/// <summary>
/// What names, profiles, labels and paths Spring's clients may send. They become parts of paths and are refused when they could lead elsewhere, also after
/// they are URL-decoded once more: some proxies do that.
/// </summary>
internal static class SpringNames
{
    private const int MaxLength = 255;
    private const int MaxPathLength = 1000;
    private const int MaxItems = NameRules.MaxEnvironments;

    /// <summary>Stands for a slash, which would end the segment of the URL.</summary>
    private const string Slash = "(_)";

    public static SourcesQuery Query(string name, string profiles, string? label) => new(Service(name), Profiles(profiles), Labels(label));

    /// <summary>A service or several, <c>a,b</c>.</summary>
    public static string Service(string text)
    {
        Check(text, "name", MaxLength);
        var names = Items(Normal(text), "name");
        if (names.Any(name => name.AsSpan().ContainsAny('*', '?') || name.Split('/').Any(s => s is "" or "."))) throw Invalid("name");
        return string.Join(',', names);
    }

    /// <summary>A profile or several: letters, digits and <c>- _ . + @</c>, a letter or digit at both ends.</summary>
    public static string Profiles(string text)
    {
        var profiles = text.Split(',');
        if (profiles.Length > MaxItems || !profiles.All(IsProfile)) throw Invalid("profile");
        return text;
    }

    /// <summary>As an environment shows it: with its slashes.</summary>
    public static string? Label(string? text) => text is null ? null : Normal(text.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase));

    /// <summary>A path below a search location.</summary>
    /// <exception cref="LockstepException">bad-request; not-found for what is never served.</exception>
    public static string Path(string text)
    {
        Check(text, "path", MaxPathLength);
        if (text.Split('/').Any(s => s is "" or "." or "WEB-INF" or "META-INF" or ".git") || text.Contains(":/", StringComparison.Ordinal))
            throw new LockstepException(ErrorCode.NotFound, "there is nothing at this path");
        return text;
    }

    /// <summary>Of several labels the last wins.</summary>
    private static ImmutableArray<string> Labels(string? text)
    {
        if (text is null) return [];
        Check(text, "label", MaxLength);
        return [.. Items(Label(text)!, "label").Reverse().Distinct(StringComparer.Ordinal)];
    }

    private static string[] Items(string text, string what)
    {
        var items = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return items.Length is > 0 and <= MaxItems ? items : throw Invalid(what);
    }

    private static string Normal(string text) => text.Replace(Slash, "/", StringComparison.Ordinal);

    private static void Check(string text, string what, int max)
    {
        if (text.Length == 0 || text.Length > max || Leads(text) || (text.Contains('%') && Leads(WebUtility.UrlDecode(text)))) throw Invalid(what);
    }

    private static bool Leads(string text) =>
        text.Contains("..", StringComparison.Ordinal) || text.Contains('#') || text.Contains('\\') || text.StartsWith(Slash, StringComparison.Ordinal)
        || text.Any(char.IsControl);

    private static bool IsProfile(string text) =>
        text.Length is > 0 and <= MaxLength && char.IsLetterOrDigit(text[0]) && char.IsLetterOrDigit(text[^1])
        && text.All(c => char.IsLetterOrDigit(c) || c is '-' or '_' or '.' or '+' or '@') && !text.Contains("..", StringComparison.Ordinal);

    private static LockstepException Invalid(string what) => new(ErrorCode.BadRequest, $"Invalid {what} in request");
}
