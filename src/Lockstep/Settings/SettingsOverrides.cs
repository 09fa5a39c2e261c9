using System.Diagnostics.CodeAnalysis;

namespace Lockstep.Settings;

/// <summary>
/// What flags and <c>LOCKSTEP_…</c> variables say over the file: <c>LOCKSTEP_CONFIG__URL</c> is <c>config.url</c>. A flag beats a variable;
/// an empty variable counts as absent.
/// </summary>
internal sealed class SettingsOverrides(IReadOnlyDictionary<string, string> environment, IReadOnlyDictionary<string, string> flags)
{
    private const string Prefix = "LOCKSTEP_";

    // The command line's own; a server started beside it ignores them.
    private static readonly HashSet<string> s_clientVariables = new(StringComparer.Ordinal)
    {
        "LOCKSTEP_ADDR", "LOCKSTEP_TOKEN", "LOCKSTEP_TOKEN_FILE", "LOCKSTEP_SERVICE", "LOCKSTEP_ENVIRONMENT", "LOCKSTEP_INSTANCE",
    };

    private readonly HashSet<string> _known = new(StringComparer.Ordinal);

    /// <summary>The value for a key such as <c>config.url</c>, and by which name it was given. Notes that the key exists.</summary>
    public bool TryGet(string path, [NotNullWhen(true)] out string? value, [NotNullWhen(true)] out string? source)
    {
        var variable = Prefix + path.Replace(".", "__", StringComparison.Ordinal).ToUpperInvariant();
        _known.Add(variable);
        if (flags.TryGetValue(path, out value))
        {
            source = "--" + path;
            return true;
        }
        source = variable;
        return environment.TryGetValue(variable, out value) && value.Length > 0;
    }

    /// <summary>One line for each <c>LOCKSTEP_…</c> variable that is neither a setting nor the client's.</summary>
    public List<string> Unknown() =>
    [
        .. environment.Keys
            .Where(name => name.StartsWith(Prefix, StringComparison.Ordinal) && !_known.Contains(name) && !s_clientVariables.Contains(name))
            .Order(StringComparer.Ordinal)
            .Select(name => $"the variable {name} is not a setting and is ignored{(Nearest.To(name, _known) is { } near ? $"; did you mean {near}?" : "")}"),
    ];
}

/// <summary>The nearest of some names to one that was mistyped.</summary>
internal static class Nearest
{
    /// <summary>The name within a third of its length in edits, or null.</summary>
    public static string? To(string text, IEnumerable<string> names)
    {
        if (text.Length > 100) return null;
        var best = names.Select(n => (Name: n, Distance: Distance(text, n))).OrderBy(n => n.Distance).ThenBy(n => n.Name, StringComparer.Ordinal).FirstOrDefault();
        return best.Name is not null && best.Distance <= Math.Max(1, best.Name.Length / 3) ? best.Name : null;
    }

    /// <summary>Levenshtein's distance without regard to case.</summary>
    private static int Distance(string a, string b)
    {
        var row = new int[b.Length + 1];
        for (var j = 0; j <= b.Length; j++) row[j] = j;
        for (var i = 1; i <= a.Length; i++)
        {
            var diagonal = row[0];
            row[0] = i;
            for (var j = 1; j <= b.Length; j++)
            {
                var same = char.ToLowerInvariant(a[i - 1]) == char.ToLowerInvariant(b[j - 1]);
                (diagonal, row[j]) = (row[j], same ? diagonal : 1 + Math.Min(diagonal, Math.Min(row[j], row[j - 1])));
            }
        }
        return row[b.Length];
    }
}
