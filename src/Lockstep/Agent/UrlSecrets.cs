namespace Lockstep.Agent;

/// <summary>
/// The parts of a URL that may be the secret in it: which part of a value came from a secret is not told by the server, and programs print the password alone.
/// </summary>
internal static class UrlSecrets
{
    /// <summary>The password and the values of the query, as they are written and as they are meant.</summary>
    public static IEnumerable<string> Of(string value)
    {
        // Not the Uri class: a password with characters that should have been escaped is one as well.
        var start = value.IndexOf("://", StringComparison.Ordinal);
        return start <= 0 ? [] : Parts(value[(start + 3)..]).SelectMany(p => new[] { p, Uri.UnescapeDataString(p) }).Distinct(StringComparer.Ordinal);
    }

    private static IEnumerable<string> Parts(string rest)
    {
        var at = rest.LastIndexOf('@');
        var user = at < 0 ? "" : rest[..at];
        if (user.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon) yield return user[(colon + 1)..];
        var query = rest.IndexOf('?', StringComparison.Ordinal);
        if (query < 0) yield break;
        foreach (var pair in rest[(query + 1)..].Split('#')[0].Split('&', ';'))
            if (pair.IndexOf('=', StringComparison.Ordinal) is >= 0 and var equals) yield return pair[(equals + 1)..];
    }
}
