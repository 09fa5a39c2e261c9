using System.Buffers;
using System.Text;
using Lockstep.Client;

namespace Lockstep.Config.Formats;

/// <summary>
/// <c>NAME='value'</c> lines. A POSIX shell (<c>set -a; . file</c>) gives back every value exactly. Dotenv readers agree with it and with one another on values in
/// single quotes, and on values in double quotes without escapes, so these come first; what needs escapes (a single quote together with
/// one of <c>" $ ` \</c>) is written for the shell.
/// </summary>
internal static class DotenvWriter
{
    private static readonly SearchValues<char> s_bare = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:@%+,-");
    private static readonly SearchValues<char> s_active = SearchValues.Create("\"$`\\");

    /// <exception cref="LockstepException">bad-request: two keys give one name, a name must not be set this way, or a value holds U+0000.</exception>
    public static string Write(IEnumerable<(string Key, ScalarValue Value)> values)
    {
        var text = new StringBuilder();
        var keys = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (key, value) in values)
        {
            var name = EnvironmentName.From(key);
            if (EnvironmentName.IsRefused(name))
                throw new LockstepException(ErrorCode.BadRequest, $"the key '{key}' would set {name}, which changes how programs load; rename the key");
            if (!keys.TryAdd(name, key))
                throw new LockstepException(ErrorCode.BadRequest, $"the keys '{keys[name]}' and '{key}' both give the variable {name}; rename one of them");
            if (value.Text.Contains('\0', StringComparison.Ordinal))
                throw new LockstepException(ErrorCode.BadRequest, $"the value of '{key}' holds the character U+0000, which no environment variable can hold");
            text.Append(name).Append('=');
            Quote(text, value.Text);
            text.Append('\n');
        }
        return text.ToString();
    }

    private static void Quote(StringBuilder text, string value)
    {
        if (value.Length > 0 && !value.AsSpan().ContainsAnyExcept(s_bare))
        {
            text.Append(value);
            return;
        }
        if (!value.Contains('\'', StringComparison.Ordinal))
        {
            text.Append('\'').Append(value).Append('\'');
            return;
        }
        text.Append('"');
        foreach (var c in value)
        {
            if (s_active.Contains(c)) text.Append('\\');
            text.Append(c);
        }
        text.Append('"');
    }
}
