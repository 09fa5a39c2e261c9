using System.Text;
using Lockstep.Client;

namespace Lockstep.Agent;

/// <summary>A document as environment variables. All or nothing: what does not fit is an error that names the keys and no value.</summary>
internal static class ChildEnvironment
{
    /// <summary>Linux's limit for one <c>NAME=value</c> with its end (MAX_ARG_STRLEN, 32 pages of 4 KiB).</summary>
    private const int MaxLinuxString = 128 * 1024;

    /// <summary>Variables that are this program's own and reach the child only when asked for (<c>--keep-token</c>).</summary>
    public static readonly string[] Removed = ["LOCKSTEP_TOKEN", "LOCKSTEP_TOKEN_FILE"];

    public static Dictionary<string, string> From(Snapshot snapshot, SortedDictionary<string, string> values)
    {
        var keys = new Dictionary<string, string>(StringComparer.Ordinal);
        var variables = new Dictionary<string, string>(StringComparer.Ordinal);
        var problems = new List<ProblemError>();
        foreach (var (key, value) in values)
        {
            var name = EnvironmentName.From(key);
            if (Problem(name, value, keys.GetValueOrDefault(name)) is { } problem) problems.Add(new ProblemError { Key = key, Message = problem });
            else variables[name] = value;
            keys.TryAdd(name, key);
        }
        if (problems.Count == 0) return variables;
        throw new LockstepException(ErrorCode.InvalidConfig, $"the config of {snapshot.Service}/{snapshot.Environment} can't be an environment; the command was not started with it") { Errors = problems };
    }

    private static string? Problem(string name, string value, string? same)
    {
        if (name.Length == 0) return "gives no name for a variable: rename the key";
        if (same is not null) return $"gives the variable {name}, as {same} does: rename one of them";
        if (EnvironmentName.IsRefused(name) || Removed.Contains(name, StringComparer.Ordinal))
            return $"gives the variable {name}, which changes how programs load or who they are: rename the key";
        if (value.Contains('\0', StringComparison.Ordinal)) return "holds a NUL character, which no environment variable can";
        return OperatingSystem.IsLinux() && Encoding.UTF8.GetByteCount(value) + name.Length + 2 > MaxLinuxString
            ? $"is longer than {MaxLinuxString / 1024} KiB, the limit for one environment variable"
            : null;
    }
}
