using System.CommandLine;

namespace Lockstep.Cli;

/// <summary>The options of a list: how many, and from where on.</summary>
internal sealed record Paging(Option<string?> From, Option<int?> Limit)
{
    /// <summary>For lists that run from the newest to the oldest.</summary>
    public static Paging AddBefore(Command command) => Add(command, "--before", "Only what is older than this; the last line of a full page says what to give");

    /// <summary>For lists in order of a name.</summary>
    public static Paging AddAfter(Command command) => Add(command, "--after", "Only what comes after this; the last line of a full page says what to give");

    private static Paging Add(Command command, string name, string description)
    {
        var limit = new Option<int?>("--limit") { Description = "At most so many", HelpName = "N" };
        var from = new Option<string?>(name) { Description = description, HelpName = "CURSOR" };
        command.Add(limit);
        command.Add(from);
        return new(from, limit);
    }

    /// <summary>Says that there is more, and how to get it.</summary>
    public void More(Session session, string? next)
    {
        if (next is not null && !session.Json) session.Output.Remark($"there is more: add {From.Name} {next}");
    }
}
